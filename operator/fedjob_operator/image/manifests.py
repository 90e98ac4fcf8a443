"""Manifests and configs of images: read the base's, write the job's.

Two families are understood, and what is written is of the base's family: the OCI image
specification 1.1 and Docker's image manifest version 2, schema 2.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from typing import Any

from fedjob_operator.image.errors import BaseImageMissingError, ImageBuildFailedError
from fedjob_operator.image.layer import Layer, sha256_digest

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
MANIFESTS = (OCI_MANIFEST, DOCKER_MANIFEST)
INDEXES = (OCI_INDEX, DOCKER_LIST)
_LAYER_TYPES = {
    OCI_MANIFEST: "application/vnd.oci.image.layer.v1.tar+gzip",
    DOCKER_MANIFEST: "application/vnd.docker.image.rootfs.diff.tar.gzip",
}
_BASE_DIGEST = "org.opencontainers.image.base.digest"
_EPOCH = "1970-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Platform:
    """What the image runs on, in Go's names.

    Attributes:
        os: Such as `linux`.
        architecture: Such as `amd64`.
    """

    os: str
    architecture: str

    def __str__(self) -> str:
        return f"{self.os}/{self.architecture}"


@dataclass(frozen=True, slots=True)
class Document:
    """A manifest or an index, as a registry stores it.

    Attributes:
        media_type: What it says it is, or the registry does.
        body: Its bytes: the digest is of these.
    """

    media_type: str
    body: bytes

    @property
    def digest(self) -> str:
        """What it is addressed by."""
        return sha256_digest(self.body)


@dataclass(frozen=True, slots=True)
class ImageDocuments:
    """The two documents of one image.

    Attributes:
        config: The config's bytes.
        manifest: The manifest that names it.
    """

    config: bytes
    manifest: Document


def read_document(body: bytes, content_type: str, name: str) -> Document:
    """Tells what a registry answered.

    Args:
        body: The answer's bytes.
        content_type: Its header; used where the document has no `mediaType` (OCI allows that).
        name: The image, for errors.

    Raises:
        ImageBuildFailedError: It is neither a manifest nor an index of the two families.
    """
    stated = _object(body, name).get("mediaType")
    media_type = stated if isinstance(stated, str) else content_type.partition(";")[0].strip()
    if media_type not in (*MANIFESTS, *INDEXES):
        raise ImageBuildFailedError(
            name,
            f"its manifest is of type {media_type!r}",
            "push it as an OCI image or as a Docker image of schema 2",
        )
    return Document(media_type, body)


def platform_digest(index: Document, platform: Platform, name: str) -> str:
    """Picks the manifest of a platform out of an index or manifest list.

    Raises:
        BaseImageMissingError: The index has none for it.
        ImageBuildFailedError: The index cannot be read.
    """
    offered = []
    for entry in _list(_object(index.body, name), "manifests", name):
        its = entry.get("platform") or {}
        offered.append(f"{its.get('os')}/{its.get('architecture')}")
        if offered[-1] == str(platform) and entry.get("mediaType") in MANIFESTS:
            return str(entry.get("digest"))
    raise BaseImageMissingError(
        name,
        f"it is there for {', '.join(offered) or 'no platform'}, but not for {platform}",
        f"push it for {platform}, or name another in spec.image.base",
    )


def config_digest(manifest: Document, name: str) -> str:
    """The digest of the config that a manifest names."""
    config = _object(manifest.body, name).get("config")
    return str(config.get("digest")) if isinstance(config, dict) else ""


def layer_descriptors(manifest: Document, name: str) -> list[dict[str, Any]]:
    """Digest and size of every layer, lowest first."""
    return _list(_object(manifest.body, name), "layers", name)


def diff_ids(config: bytes, name: str) -> list[str]:
    """The hashes of the unpacked layers, lowest first."""
    found = _object(config, name).get("rootfs", {}).get("diff_ids")
    if not isinstance(found, list):
        raise _broken(name, "its config has no rootfs.diff_ids")
    return [str(each) for each in found]


def labels(config: bytes, name: str) -> dict[str, str]:
    """The labels of an image."""
    return dict(_object(config, name).get("config", {}).get("Labels") or {})


def append_to(base: ImageDocuments, layer: Layer, name: str) -> ImageDocuments:
    """The base's documents with one layer more; user, entrypoint and environment stay.

    Pure and without a clock, so that the digest can be known before anything is pushed.

    Args:
        base: The base image, of one platform.
        layer: What is put on top.
        name: The base's name, for errors.

    Raises:
        ImageBuildFailedError: The base's documents contradict each other.
    """
    config, manifest = _object(base.config, name), _object(base.manifest.body, name)
    layers = layer_descriptors(base.manifest, name)
    ids = diff_ids(base.config, name)
    if len(layers) != len(ids):
        raise _broken(name, f"it has {len(layers)} layers, but its config has {len(ids)}")
    config["rootfs"]["diff_ids"] = [*ids, layer.diff_id]
    if isinstance(config.get("history"), list):
        step = {"created": config.get("created", _EPOCH), "created_by": "fedjob: the job folder"}
        config["history"] = [*config["history"], step]
    new_config = _bytes(config)

    media_type = base.manifest.media_type
    on_top = {
        "mediaType": _LAYER_TYPES[media_type],
        "size": len(layer.data),
        "digest": layer.digest,
    }
    new: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": {
            "mediaType": manifest["config"]["mediaType"],
            "size": len(new_config),
            "digest": sha256_digest(new_config),
        },
        "layers": [*layers, on_top],
    }
    if media_type == OCI_MANIFEST:
        # Not the base's name: the same base under two names shall give one image.
        kept = copy.deepcopy(manifest.get("annotations") or {})
        new["annotations"] = {**kept, _BASE_DIGEST: base.manifest.digest}
    return ImageDocuments(new_config, Document(media_type, _bytes(new)))


def _object(body: bytes, name: str) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise _broken(name, "its manifest or config is no JSON object")
    return value


def _list(document: dict[str, Any], key: str, name: str) -> list[dict[str, Any]]:
    value = document.get(key)
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise _broken(name, f"its manifest has no list {key!r}")
    return value


def _broken(name: str, problem: str) -> ImageBuildFailedError:
    return ImageBuildFailedError(name, problem, "push the image again with a current builder")


def _bytes(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
