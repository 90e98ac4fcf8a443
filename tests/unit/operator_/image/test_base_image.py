"""The base image: found by tag or in an index, pinned by digest, or missing."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from fedjob_operator.image.base_image import find_base
from fedjob_operator.image.errors import BaseImageMissingError
from fedjob_operator.image.manifests import OCI_INDEX, OCI_MANIFEST, Document, Platform
from fedjob_operator.image.reference import Reference

AMD = Platform("linux", "amd64")
MANIFEST = Document(OCI_MANIFEST, json.dumps({"config": {"digest": "sha256:c"}}).encode())
ENTRY = {"mediaType": OCI_MANIFEST, "digest": MANIFEST.digest}
INDEX = Document(
    OCI_INDEX,
    json.dumps(
        {"manifests": [{**ENTRY, "platform": {"os": "linux", "architecture": "amd64"}}]}
    ).encode(),
)


def repository(manifests: dict[str, Document]) -> Any:
    return SimpleNamespace(
        reference=Reference.parse("r.test/base:1", "f"),
        manifest=manifests.get,
        blob={"sha256:c": b"config"}.__getitem__,
    )


@pytest.mark.parametrize(
    "manifests", [{"1": MANIFEST}, {"1": INDEX, MANIFEST.digest: MANIFEST}], ids=["tag", "index"]
)
def test_base_is_pinned_to_the_manifest_of_the_platform(manifests: dict[str, Document]) -> None:
    base = find_base(repository(manifests), AMD)
    assert base.name == "r.test/base:1"
    assert base.pinned == f"r.test/base@{MANIFEST.digest}"
    assert (base.documents.config, base.documents.manifest) == (b"config", MANIFEST)


@pytest.mark.parametrize("manifests", [{}, {"1": INDEX}], ids=["no tag", "lost manifest"])
def test_missing_base_names_the_field(manifests: dict[str, Document]) -> None:
    with pytest.raises(BaseImageMissingError, match=r"spec\.image\.base"):
        find_base(repository(manifests), AMD)
