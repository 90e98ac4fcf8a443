"""Parses image references: `registry/repository:tag@digest`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

import docker.auth

from fedjob_operator.image.errors import ImageRequestInvalidError

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_REGISTRY = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?")
_INDEX: str = docker.auth.INDEX_NAME
_INDEX_HOSTS = {_INDEX, urlsplit(docker.auth.INDEX_URL).netloc}
_INDEX_API = f"registry-1.{_INDEX}"


def canonical_registry(host: str) -> str:
    """The canonical name of a registry: the default registry has two."""
    return _INDEX if host in _INDEX_HOSTS else host


@dataclass(frozen=True, slots=True)
class Reference:
    """One image, or a repository of images.

    The grammar is that of the OCI distribution specification and of Docker's reference package:
    the first component is a registry if it contains a dot or a colon or is `localhost`.

    Attributes:
        registry: Host and port, as written.
        repository: The repository's full path in the registry's API.
        tag: Tag, or None.
        digest: `sha256:` and 64 hexadecimal digits, or None.
    """

    registry: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str, field: str) -> Reference:
        """Parses a reference.

        Args:
            text: `[registry/]repository[:tag][@digest]`.
            field: The field that contains it, for error messages.

        Raises:
            ImageRequestInvalidError: It is not a valid reference.
        """
        rest, at, digest = text.partition("@")
        first, slash, below = rest.partition("/")
        if slash and ("." in first or ":" in first or first == "localhost"):
            registry, path = first, below
        else:
            registry, path = _INDEX, rest
        path, colon, tag = path.partition(":")
        registry = canonical_registry(registry)
        if registry == _INDEX:
            path = path if "/" in path else f"library/{path}"
        wrong = (
            not _REGISTRY.fullmatch(registry)
            or not _REPOSITORY.fullmatch(path)
            or (colon and not _TAG.fullmatch(tag))
            or (at and not DIGEST.fullmatch(digest))
        )
        if wrong:
            raise ImageRequestInvalidError(
                field,
                f"{text!r} is not an image reference",
                "write registry/repository:tag or registry/repository@sha256:... in lower case",
            )
        return cls(registry=registry, repository=path, tag=tag or None, digest=digest or None)

    @property
    def host(self) -> str:
        """Host and port of the registry's API."""
        return _INDEX_API if self.registry == _INDEX else self.registry

    @property
    def name(self) -> str:
        """Registry and repository, without tag and digest."""
        return f"{self.registry}/{self.repository}"

    def is_within(self, repository: str) -> bool:
        """Whether it is the repository of this name (with its registry), or one below it."""
        return f"{self.name}/".startswith(f"{repository}/")

    @property
    def version(self) -> str:
        """The version to request: the digest, else the tag, else `latest`."""
        return self.digest or self.tag or "latest"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.name}{tag}{digest}"
