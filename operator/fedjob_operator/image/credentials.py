"""Reads docker config JSON, the content of Secrets of type kubernetes.io/dockerconfigjson."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from fedjob_operator.image.errors import RegistryRefusedError
from fedjob_operator.image.reference import Reference, canonical_registry


@dataclass(frozen=True, slots=True)
class Credentials:
    """User name and password for a registry.

    Attributes:
        username: User name.
        password: Password or access token; excluded from the repr.
    """

    username: str
    password: str = field(repr=False)


def credentials_for(
    docker_config: str | None, reference: Reference, secret: str
) -> Credentials | None:
    """Selects the entry for a repository, by the kubelet's rules.

    Keys may carry a scheme, a `/v1/` or `/v2/` suffix, a path, and `*` within a part of the host
    (https://kubernetes.io/docs/concepts/containers/images/#config-json). The longest path wins.

    Args:
        docker_config: The document's text; None without a Secret.
        reference: The repository.
        secret: Origin of the document, for error messages.

    Raises:
        RegistryRefusedError: The document, or the entry for this registry, cannot be used.
    """
    if docker_config is None:
        return None
    best: tuple[int, Mapping[str, Any]] | None = None
    for key, entry in _auths(docker_config, reference.registry, secret).items():
        host, path = _split_key(key)
        if not _host_matches(host, reference.registry) or not _path_matches(
            path, reference.repository
        ):
            continue
        if best is None or len(path) > best[0]:
            best = (len(path), entry if isinstance(entry, Mapping) else {})
    return _read(best[1], reference.registry, secret) if best is not None else None


def merge_docker_configs(documents: Iterable[str]) -> str:
    """Merges several documents into one; of two entries for one key, the first wins.

    Raises:
        RegistryRefusedError: A document is not docker config JSON.
    """
    merged: dict[str, Any] = {}
    for number, document in enumerate(documents):
        auths = _auths(document, "registry credentials", f"pull Secret number {number + 1}")
        merged = {**auths, **merged}
    return json.dumps({"auths": merged})


def _auths(document: str, registry: str, secret: str) -> Mapping[str, Any]:
    try:
        auths = json.loads(document)["auths"]
    except (ValueError, KeyError, TypeError):
        auths = None
    if not isinstance(auths, Mapping):
        raise RegistryRefusedError(registry, f"{secret} is not docker config JSON", secret)
    return auths


def _split_key(key: str) -> tuple[str, str]:
    bare = key.removeprefix("https://").removeprefix("http://").rstrip("/")
    host, _, path = bare.partition("/")
    return host, "" if path in {"v1", "v2"} else path


def _host_matches(pattern: str, registry: str) -> bool:
    wanted, given = registry.split("."), canonical_registry(pattern).split(".")
    return len(wanted) == len(given) and all(map(fnmatchcase, wanted, given))


def _path_matches(path: str, repository: str) -> bool:
    return not path or repository == path or repository.startswith(path + "/")


def _read(entry: Mapping[str, Any], registry: str, secret: str) -> Credentials:
    username, password = entry.get("username"), entry.get("password")
    encoded = entry.get("auth")
    if not (username and password) and isinstance(encoded, str):
        try:
            plain = base64.b64decode(encoded, validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError):
            plain = ""
        username, _, password = plain.partition(":")
    if not (isinstance(username, str) and isinstance(password, str) and username and password):
        raise RegistryRefusedError(
            registry, f"{secret} has no user name and password for it", secret
        )
    return Credentials(username, password)
