"""What is asked of the image builders, and what they answer."""

from __future__ import annotations

import platform as this_machine
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from fedjob_operator.image.connection import Access
from fedjob_operator.image.credentials import credentials_for
from fedjob_operator.image.errors import ImageRequestInvalidError
from fedjob_operator.image.manifests import Platform
from fedjob_operator.image.reference import Reference

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def own_platform() -> Platform:
    """Linux on the processor that this process runs on: the operator's node is like the others."""
    machine = this_machine.machine()
    return Platform("linux", _ARCHITECTURES.get(machine, machine.lower()))


@dataclass(frozen=True)
class ImageRequest:
    """The image of one job.

    Attributes:
        base: Reference of the runtime image.
        repository: Where the job's image goes, without a tag.
        files: The job folder: content by relative path.
        requirements: What pip installs; only builder `docker` can.
        builder: `append` or `docker`.
        pull_secret: Docker config JSON with the credentials of both registries, or None; see
            `credentials.merge_docker_configs` for several Secrets.
        ca_pem: Certificates to trust beside the public ones, or None.
        insecure: The repository's registry speaks plain HTTP.
        base_insecure: So does the base's; a base in the repository's registry follows `insecure`.
        secret_name: What errors call the origin of `pull_secret`.
        platform: Which manifest of a multi-platform base is taken.
    """

    base: str
    repository: str
    files: Mapping[str, bytes] = field(repr=False)
    requirements: tuple[str, ...] = ()
    builder: Literal["append", "docker"] = "append"
    pull_secret: str | None = field(default=None, repr=False)
    ca_pem: str | None = field(default=None, repr=False)
    insecure: bool = False
    base_insecure: bool = False
    secret_name: str = ""
    platform: Platform = field(default_factory=own_platform)

    def base_reference(self) -> Reference:
        """The base, taken apart; raises ImageRequestInvalidError."""
        return Reference.parse(self.base, "spec.image.base")

    def target_reference(self) -> Reference:
        """The repository, taken apart.

        Raises:
            ImageRequestInvalidError: It is none, or has a tag or a digest.
        """
        target = Reference.parse(self.repository, "spec.image.repository")
        if target.tag or target.digest:
            raise ImageRequestInvalidError(
                "spec.image.repository",
                f"{self.repository!r} has a tag or a digest",
                f"write {target.name}; fedjob makes the tag from the content",
            )
        return target

    def access(self, reference: Reference) -> Access:
        """How to reach the registry of `reference`.

        Raises:
            RegistryRefusedError: The pull Secret cannot be read.
        """
        secret = self.secret_name or "the pull Secret"
        credentials = credentials_for(self.pull_secret, reference, secret)
        own = reference.registry == self.target_reference().registry
        return Access(
            credentials,
            secret if credentials is not None else "",
            self.ca_pem,
            self.insecure if own else self.base_insecure,
        )


@dataclass(frozen=True, slots=True)
class ImageResult:
    """An image that nodes can pull.

    Attributes:
        reference: `registry/repository@sha256:...`.
        digest: Of the manifest.
        cache_hit: It was there already; nothing was pushed.
        seconds: How long it took to find out, or to build.
    """

    reference: str
    digest: str
    cache_hit: bool
    seconds: float
