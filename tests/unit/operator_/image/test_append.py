"""Builder `append` with a fake registry: what is sent, and what is not."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from fedjob_operator.image import append
from fedjob_operator.image.append import append_image
from fedjob_operator.image.errors import ImageBuildFailedError
from fedjob_operator.image.layer import sha256_digest
from fedjob_operator.image.manifests import OCI_MANIFEST, Document, Platform
from fedjob_operator.image.reference import Reference
from fedjob_operator.image.registry_client import Repository

AMD = Platform("linux", "amd64")
FILES = {"meta.json": b"{}"}
CONFIG = json.dumps({"rootfs": {"diff_ids": ["sha256:plain"]}, "config": {}}).encode()
BASE = Document(
    OCI_MANIFEST,
    json.dumps(
        {
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": "c", "digest": sha256_digest(CONFIG), "size": len(CONFIG)},
            "layers": [{"digest": "sha256:below", "size": 1, "mediaType": "l"}],
        }
    ).encode(),
)


class FakeRepository:
    """A repository in memory that records writes; `refusals` manifests are refused first."""

    def __init__(self, name: str, manifests: dict[str, Document], refusals: int = 0) -> None:
        self.reference = Reference.parse(name, "f")
        self.manifests, self.refusals = manifests, refusals
        self.writes: list[str] = []
        self.on_refusal = lambda version, document: None

    def manifest(self, version: str) -> Document | None:
        return self.manifests.get(version)

    def manifest_digest(self, version: str) -> str | None:
        found = self.manifests.get(version)
        return found.digest if found is not None else None

    def blob(self, digest: str) -> bytes:
        assert digest == sha256_digest(CONFIG)
        return CONFIG

    def take_layer(self, digest: str, source: object) -> None:
        self.writes.append(f"layer {digest}")

    def push_blob(self, data: bytes) -> str:
        self.writes.append("blob")
        return sha256_digest(data)

    def push_manifest(self, version: str, document: Document) -> str:
        self.writes.append("manifest")
        if self.refusals:
            self.refusals -= 1
            self.on_refusal(version, document)
            raise ImageBuildFailedError("r", "500", "x")
        self.manifests[version] = document
        return document.digest


def run(target: FakeRepository) -> tuple[str, bool]:
    source = FakeRepository("r.test/base:1", {"1": BASE})
    repositories: Any = (source, target)
    return append_image(*cast("tuple[Repository, Repository]", repositories), FILES, AMD)


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []
    monkeypatch.setattr(append.time, "sleep", found.append)
    return found


def test_manifest_is_sent_last_and_found_again_without_a_write() -> None:
    target = FakeRepository("r.test/job", {})
    digest, cache_hit = run(target)
    assert not cache_hit
    assert target.writes == ["layer sha256:below", "blob", "blob", "manifest"]
    target.writes.clear()
    assert run(target) == (digest, True)
    assert target.writes == []


def test_tag_of_another_image_is_overwritten() -> None:
    target = FakeRepository("r.test/job", {})
    digest, _ = run(target)
    [tag] = target.manifests
    target.manifests[tag] = BASE
    assert run(target) == (digest, False)
    assert target.manifests[tag].digest == digest


def test_refused_manifest_counts_if_another_operator_stored_it(waits: list[float]) -> None:
    target = FakeRepository("r.test/job", {}, refusals=1)
    target.on_refusal = target.manifests.__setitem__  # type: ignore[assignment]
    _, cache_hit = run(target)
    assert not cache_hit
    assert target.writes.count("manifest") == 1
    assert len(waits) == 1


def test_manifest_is_retried_and_the_last_refusal_is_raised(waits: list[float]) -> None:
    target = FakeRepository("r.test/job", {}, refusals=2)
    assert not run(target)[1]
    assert target.writes.count("manifest") == 3
    assert waits[0] < waits[1] * 3
    with pytest.raises(ImageBuildFailedError):
        run(FakeRepository("r.test/job", {}, refusals=3))
