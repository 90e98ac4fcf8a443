"""Manifests and configs of images: reads those of the base, writes those of the job's image.

Supports the OCI image specification 1.1 and Docker's image manifest version 2, schema 2; the job's
image has the format of its base.
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
MOST_VALUES = 100_000
"""Values of a manifest or a config; an image of 127 layers has some 2,000."""
_EPOCH = "1970-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Platform:
    """Operating system and architecture, in Go's names.

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
        media_type: The document's `mediaType`, or the registry's Content-Type.
        body: The exact bytes, which the digest covers.
    """

    media_type: str
    body: bytes

    @property
    def digest(self) -> str:
        """The digest of the bytes."""
        return sha256_digest(self.body)


@dataclass(frozen=True, slots=True)
class ImageDocuments:
    """The two documents of one image.

    Attributes:
        config: The config's bytes.
        manifest: The manifest that refers to the config.
    """

    config: bytes
    manifest: Document


def read_document(body: bytes, content_type: str, name: str) -> Document:
    """Reads a manifest or index that a registry returned.

    Args:
        body: The response's bytes.
        content_type: The response's header, used if the document has no `mediaType`.
        name: The image, for error messages.

    Raises:
        ImageBuildFailedError: It is not a manifest or index of a supported format.
    """
    stated = _object(body, name).get("mediaType")
    media_type = stated if isinstance(stated, str) else content_type.partition(";")[0].strip()
    if media_type not in (*MANIFESTS, *INDEXES):
        raise ImageBuildFailedError(
            name,
            f"its manifest is of type {media_type!r}",
            "push it as an OCI image or as a Docker image of schema 2",
        )
    return Document(media_type=media_type, body=body)


def platform_digest(index: Document, platform: Platform, name: str) -> str:
    """The digest of a platform's manifest in an index or manifest list.

    Raises:
        BaseImageMissingError: The index has no manifest for the platform.
        ImageBuildFailedError: The index cannot be read.
    """
    offered = []
    for entry in _list(_object(index.body, name), "manifests", name):
        stated = entry.get("platform")
        its = stated if isinstance(stated, dict) else {}
        offered.append(f"{its.get('os')}/{its.get('architecture')}")
        if offered[-1] == str(platform) and entry.get("mediaType") in MANIFESTS:
            return str(entry.get("digest"))
    raise BaseImageMissingError(
        name,
        f"it exists for {', '.join(offered) or 'no platform'}, but not for {platform}",
        f"push it for {platform}, or name another in spec.image.base",
    )


def config_digest(manifest: Document, name: str) -> str:
    """The digest of the manifest's config."""
    config = _object(manifest.body, name).get("config")
    return str(config.get("digest")) if isinstance(config, dict) else ""


def layer_descriptors(manifest: Document, name: str) -> list[dict[str, Any]]:
    """The descriptors of all layers, lowest first."""
    return _list(_object(manifest.body, name), "layers", name)


def diff_ids(config: bytes, name: str) -> list[str]:
    """The digests of the uncompressed layers, lowest first."""
    rootfs = _object(config, name).get("rootfs")
    found = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(found, list):
        raise _broken(name, "its config has no rootfs.diff_ids")
    return [str(each) for each in found]


def append_to(base: ImageDocuments, layer: Layer, name: str) -> ImageDocuments:
    """The base's documents with one more layer; user, entrypoint and environment stay.

    Pure and without a clock, so that the digest is known before anything is pushed.

    Args:
        base: The base image for one platform.
        layer: The layer to add on top.
        name: The base's name, for error messages.

    Raises:
        ImageBuildFailedError: The base's manifest and config contradict each other.
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

    described = manifest.get("config")
    if not isinstance(described, dict) or not isinstance(described.get("mediaType"), str):
        raise _broken(name, "its manifest does not describe its config")
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
            "mediaType": described["mediaType"],
            "size": len(new_config),
            "digest": sha256_digest(new_config),
        },
        "layers": [*layers, on_top],
    }
    if media_type == OCI_MANIFEST:
        # Without the base's name: the same base under two names must give one image.
        kept = copy.deepcopy(manifest.get("annotations") or {})
        new["annotations"] = {**kept, _BASE_DIGEST: base.manifest.digest}
    return ImageDocuments(config=new_config, manifest=Document(media_type, _bytes(new)))


def _object(body: bytes, name: str) -> dict[str, Any]:
    # Before it is parsed: a value of two bytes takes sixty in memory.
    if sum(map(body.count, (b",", b"[", b"{"))) > MOST_VALUES:
        raise _broken(name, f"its manifest or config has more than {MOST_VALUES} values")
    try:
        value = json.loads(body)
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):  # also a character that no encoding has
        value = None
    if not isinstance(value, dict):
        raise _broken(name, "its manifest or config is not a JSON object")
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
