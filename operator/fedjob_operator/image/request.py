"""Request and result of the image builders."""

from __future__ import annotations

import platform as this_machine
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from fedjob_operator.image.credentials import credentials_for
from fedjob_operator.image.errors import ImageRequestInvalidError
from fedjob_operator.image.manifests import Platform
from fedjob_operator.image.reference import Reference
from fedjob_operator.image.registry_connection import Access
from fedjob_operator.kube.built_images import BuiltImages

OPERATORS = "the operator's registry configuration"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def own_platform() -> Platform:
    """Linux on this process's architecture: all nodes are assumed to have the same one."""
    machine = this_machine.machine()
    return Platform("linux", _ARCHITECTURES.get(machine, machine.lower()))


@dataclass(frozen=True)
class ImageRequest:
    """The image of one job.

    Attributes:
        base: Reference of the runtime image.
        repository: Repository of the job's image, without a tag.
        files: The job folder: content by relative path.
        requirements: Packages to install with pip; only builder `docker` supports them.
        builder: `append` or `docker`.
        pull_secret: Docker config JSON with the credentials of both registries, or None; see
            `credentials.merge_docker_configs` for several Secrets.
        ca_pem: Certificates to trust in addition to the public ones, or None.
        insecure: Whether the repository's registry speaks plain HTTP.
        base_insecure: Whether the base's registry does; ignored for a base in the same registry.
        secret_name: Name of the origin of `pull_secret`, for error messages.
        platform: Selects one manifest of a multi-platform base.
        operator_config: Docker config JSON of the operator, or None.
        operator_repositories: Repositories that it serves, with all below them.
        hosts: Hosts, with ports, that the registries may send us to.
        supervisor: Reference of the operator's own runtime image, which is to be pinned by digest;
            empty where it has none.
        built: What this operator has built; gets what builder `docker` builds.
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
    operator_config: str | None = field(default=None, repr=False)
    operator_repositories: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    supervisor: str = ""
    built: BuiltImages = field(default_factory=BuiltImages, repr=False, compare=False)

    def base_reference(self) -> Reference:
        """The parsed base; raises ImageRequestInvalidError."""
        return Reference.parse(self.base, "spec.image.base")

    def target_reference(self) -> Reference:
        """The parsed repository.

        Raises:
            ImageRequestInvalidError: It is invalid, or has a tag or a digest.
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
        if credentials is None and any(map(reference.is_within, self.operator_repositories)):
            secret = OPERATORS
            credentials = credentials_for(self.operator_config, reference, secret)
        own = reference.registry == self.target_reference().registry
        return Access(
            credentials=credentials,
            secret=secret if credentials is not None else "",
            ca_pem=self.ca_pem,
            insecure=self.insecure if own else self.base_insecure,
            hosts=self.hosts,
        )


@dataclass(frozen=True, slots=True)
class ImageResult:
    """An image that nodes can pull.

    Attributes:
        reference: `registry/repository@sha256:...`.
        digest: Digest of the manifest.
        cache_hit: Whether the image existed already; then nothing was pushed.
        seconds: Duration of the search or build, in seconds.
        supervisor: The operator's runtime image by digest; empty where it has none.
    """

    reference: str
    digest: str
    cache_hit: bool
    seconds: float
    supervisor: str = ""
