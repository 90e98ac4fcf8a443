"""Docker config JSON, as Secrets of type kubernetes.io/dockerconfigjson hold it."""

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
    """A user of a registry.

    Attributes:
        username: User name.
        password: Password or access token; never printed.
    """

    username: str
    password: str = field(repr=False)


def credentials_for(
    docker_config: str | None, reference: Reference, secret: str
) -> Credentials | None:
    """Picks the entry for a repository, the way the kubelet does.

    Keys may carry a scheme, a `/v1/` or `/v2/` suffix, a path, and `*` within a part of the host
    (https://kubernetes.io/docs/concepts/containers/images/#config-json). The longest path wins.

    Args:
        docker_config: The document's text, or None where there is no Secret.
        reference: The repository.
        secret: Where the document came from, for the error.

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
    """Joins several documents into one; of two entries for one key, the first stays.

    Raises:
        RegistryRefusedError: One of them is no docker config JSON.
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
        raise RegistryRefusedError(registry, f"{secret} holds no docker config JSON", secret)
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
