"""Manifests and configs: the base's are read, the job's are written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fedjob_operator.image import manifests as c
from fedjob_operator.image.errors import BaseImageMissingError, ImageBuildFailedError
from fedjob_operator.image.layer import make_layer, sha256_digest

LAYER = make_layer({"meta.json": b"{}"})
BELOW = f"sha256:{'1' * 64}"
AMD = c.Platform("linux", "amd64")


def dump(value: Any) -> bytes:
    return json.dumps(value).encode()


def base(media_type: str, **over: Any) -> c.ImageDocuments:
    config = dump(
        {
            "created": "2026-01-02T03:04:05Z",
            "architecture": "amd64",
            "os": "linux",
            "config": {"User": "10001:10001", "Env": ["A=1"], "Labels": {"l": "v"}},
            "rootfs": {"type": "layers", "diff_ids": [BELOW]},
            "history": [{"created_by": "base"}],
        }
        | over
    )
    kind = "docker.container.image" if media_type == c.DOCKER_MANIFEST else "oci.image.config"
    manifest = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": {
            "mediaType": f"application/vnd.{kind}.v1+json",
            "size": len(config),
            "digest": sha256_digest(config),
        },
        "layers": [{"mediaType": "anything", "size": 7, "digest": f"sha256:{'2' * 64}"}],
        "annotations": {"kept": "yes"},
    }
    return c.ImageDocuments(config, c.Document(media_type, dump(manifest)))


@pytest.mark.parametrize("media_type", c.MANIFESTS)
def test_one_layer_is_added_and_everything_else_stays(media_type: str) -> None:
    before = base(media_type)
    image = c.append_to(before, LAYER, "b")
    config, manifest = json.loads(image.config), json.loads(image.manifest.body)
    old_config, old_manifest = json.loads(before.config), json.loads(before.manifest.body)

    assert config["rootfs"] == {"type": "layers", "diff_ids": [BELOW, LAYER.diff_id]}
    assert config["history"][:-1] == old_config["history"]
    assert config["history"][-1]["created"] == "2026-01-02T03:04:05Z"
    for key in ("config", "created", "os", "architecture"):
        assert config[key] == old_config[key], key

    assert manifest["layers"][:-1] == old_manifest["layers"]
    assert manifest["layers"][-1]["digest"] == LAYER.digest
    assert manifest["layers"][-1]["size"] == len(LAYER.data)
    assert manifest["config"]["digest"] == sha256_digest(image.config)
    assert manifest["config"]["size"] == len(image.config)
    assert manifest["config"]["mediaType"] == old_manifest["config"]["mediaType"]
    assert image.manifest.media_type == manifest["mediaType"] == media_type


def test_layer_has_the_base_s_format_and_oci_names_its_base() -> None:
    docker = json.loads(c.append_to(base(c.DOCKER_MANIFEST), LAYER, "b").manifest.body)
    assert docker["layers"][-1]["mediaType"] == "application/vnd.docker.image.rootfs.diff.tar.gzip"
    assert "annotations" not in docker  # Docker's schema has none
    before = base(c.OCI_MANIFEST)
    oci = json.loads(c.append_to(before, LAYER, "b").manifest.body)
    assert oci["layers"][-1]["mediaType"] == "application/vnd.oci.image.layer.v1.tar+gzip"
    assert oci["annotations"] == {
        "kept": "yes",
        "org.opencontainers.image.base.digest": before.manifest.digest,
    }


def test_same_base_and_layer_give_the_same_digest() -> None:
    one, two = (c.append_to(base(c.OCI_MANIFEST), LAYER, name) for name in ("a", "b"))
    assert one.manifest.digest == two.manifest.digest


def test_base_without_history_gets_none() -> None:
    assert "history" not in json.loads(
        c.append_to(base(c.OCI_MANIFEST, history=None), LAYER, "b").config
    ) or (
        json.loads(c.append_to(base(c.OCI_MANIFEST, history=None), LAYER, "b").config)["history"]
        is None
    )


@pytest.mark.parametrize(
    ("over", "match"),
    [
        ({"rootfs": {"diff_ids": []}}, "it has 1 layers, but its config has 0"),
        ({"rootfs": {}}, "no rootfs.diff_ids"),
    ],
)
def test_contradictory_documents_are_refused(over: dict[str, Any], match: str) -> None:
    with pytest.raises(ImageBuildFailedError, match=match):
        c.append_to(base(c.OCI_MANIFEST, **over), LAYER, "b")


@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [
        ({"mediaType": c.OCI_INDEX}, "text/plain", c.OCI_INDEX),
        ({}, f"{c.OCI_MANIFEST}; charset=utf-8", c.OCI_MANIFEST),
        ({"mediaType": c.DOCKER_LIST}, c.OCI_MANIFEST, c.DOCKER_LIST),
    ],
)
def test_media_type_is_the_document_s_own_else_the_header_s(
    body: dict[str, Any], content_type: str, expected: str
) -> None:
    assert c.read_document(dump(body), content_type, "n").media_type == expected


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"no json", c.OCI_MANIFEST),
        (b"[]", c.OCI_MANIFEST),
        (b"{}", "application/vnd.docker.distribution.manifest.v1+prettyjws"),
        (b"{}", ""),
    ],
)
def test_unknown_documents_are_refused(body: bytes, content_type: str) -> None:
    with pytest.raises(ImageBuildFailedError, match=r"^n: "):
        c.read_document(body, content_type, "n")


def index(*platforms: tuple[str, str]) -> c.Document:
    entries = [
        {
            "mediaType": c.OCI_MANIFEST,
            "digest": f"sha256:{number:064}",
            "platform": {"os": os, "architecture": architecture},
        }
        for number, (os, architecture) in enumerate(platforms)
    ]
    return c.Document(c.OCI_INDEX, dump({"manifests": entries}))


def test_platform_s_manifest_is_selected() -> None:
    found = c.platform_digest(
        index(("linux", "arm64"), ("unknown", "unknown"), ("linux", "amd64")), AMD, "n"
    )
    assert found == f"sha256:{2:064}"


def test_index_without_the_platform_names_those_it_has() -> None:
    with pytest.raises(BaseImageMissingError, match="for linux/arm64, but not for linux/amd64"):
        c.platform_digest(index(("linux", "arm64")), AMD, "n")
    with pytest.raises(BaseImageMissingError, match="no platform"):
        c.platform_digest(index(), AMD, "n")
    with pytest.raises(ImageBuildFailedError, match="no list 'manifests'"):
        c.platform_digest(c.Document(c.OCI_INDEX, b"{}"), AMD, "n")


@pytest.mark.parametrize(
    ("manifest", "config"),
    [
        (b"[" * 100_000, b"{}"),
        (b'{"a":' * 50_000, b"{}"),
        (b'{"layers":[' + b"{}," * 100_000 + b"{}]}", b"{}"),
        (b'{"layers":[]}', b'{"rootfs":{"diff_ids":[]}}'),
        (b'{"layers":[],"config":[]}', b'{"rootfs":{"diff_ids":[]}}'),
        (b'{"layers":[],"config":{"mediaType":1}}', b'{"rootfs":{"diff_ids":[]}}'),
        (b'{"layers":[],"config":{"mediaType":"x"}}', b'{"rootfs":[]}'),
        (b'{"layers":[],"config":{"mediaType":"x"}}', b'{"rootfs":null}'),
        (
            b'{"layers":[],"config":{"mediaType":"x"}}',
            b'{"rootfs":{"diff_ids":[]},"history":["\\ud800"]}',
        ),
    ],
    ids=["lists", "objects", "many", "none", "a list", "a number", "rootfs", "null", "surrogate"],
)
def test_document_of_a_hostile_registry_is_refused_by_name(manifest: bytes, config: bytes) -> None:
    """Found by `make bombs`: these were errors of Python, or took 330 MiB."""
    base = c.ImageDocuments(config=config, manifest=c.Document(c.OCI_MANIFEST, manifest))
    with pytest.raises(ImageBuildFailedError, match=r"r\.test/a"):
        c.append_to(base, make_layer({"a": b"x"}), "r.test/a")


def test_platform_of_another_form_is_not_ours() -> None:
    """Found by `make fuzz`."""
    index = c.Document(c.OCI_INDEX, b'{"manifests": [{"platform": true}]}')
    with pytest.raises(BaseImageMissingError):
        c.platform_digest(index, c.Platform("linux", "amd64"), "r.test/a")
