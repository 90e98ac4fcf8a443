"""A repository's calls, with a scripted transport."""

from __future__ import annotations

import json

import pytest
import requests

from fedjob_operator.image.errors import (
    BaseImageMissingError,
    ImageBuildFailedError,
    RegistryRefusedError,
)
from fedjob_operator.image.layer import sha256_digest
from fedjob_operator.image.manifests import OCI_MANIFEST, Document
from fedjob_operator.image.reference import Reference
from fedjob_operator.image.registry_client import Repository
from fedjob_operator.image.registry_connection import Access
from support.http_responses import ScriptedAdapter, response

BODY = json.dumps({"mediaType": OCI_MANIFEST}).encode()
DIGEST = sha256_digest(BODY)


def opened(name: str, *script: requests.Response) -> tuple[Repository, ScriptedAdapter]:
    repository = Repository(Reference.parse(name, "f"), Access())
    adapter = ScriptedAdapter(*script)
    repository._connection._session.mount("https://", adapter)
    return repository, adapter


def calls(adapter: ScriptedAdapter) -> list[tuple[str | None, str]]:
    return [(each.method, str(each.url)) for each in adapter.requests]


def test_manifest_that_does_not_match_its_digest_is_refused() -> None:
    repository, _ = opened("r.test/a", response(200, body=BODY), response(200, body=BODY + b" "))
    with repository:
        assert repository.manifest(DIGEST) == Document(OCI_MANIFEST, BODY)
        with pytest.raises(ImageBuildFailedError, match="another hash"):
            repository.manifest(DIGEST)


def test_missing_manifest_is_none_and_missing_blob_an_error() -> None:
    repository, _ = opened("r.test/a", response(404), response(404), response(404))
    with repository:
        assert repository.manifest("1") is None
        assert repository.manifest_digest("1") is None
        with pytest.raises(BaseImageMissingError, match="no blob"):
            repository.blob(DIGEST)


def test_digest_without_the_header_is_computed_from_the_manifest() -> None:
    repository, adapter = opened("r.test/a", response(200), response(200, body=BODY))
    with repository:
        assert repository.manifest_digest("1") == DIGEST
    assert [method for method, _ in calls(adapter)] == ["HEAD", "GET"]


def test_existing_blob_is_not_sent_again() -> None:
    repository, adapter = opened("r.test/a", response(200))
    with repository:
        assert repository.push_blob(BODY) == DIGEST
    assert [method for method, _ in calls(adapter)] == ["HEAD"]


def test_blob_is_uploaded_to_the_location_with_its_query() -> None:
    location = {"Location": "https://r.test/up?state=1"}
    repository, adapter = opened(
        "r.test/a", response(404), response(202, headers=location), response(201)
    )
    with repository:
        repository.push_blob(BODY)
    digest = DIGEST.replace(":", "%3A")
    assert calls(adapter) == [
        ("HEAD", f"https://r.test/v2/a/blobs/{DIGEST}"),
        ("POST", "https://r.test/v2/a/blobs/uploads/"),
        ("PUT", f"https://r.test/up?state=1&digest={digest}"),
    ]


def test_registry_that_stores_another_manifest_is_refused() -> None:
    headers = {"Docker-Content-Digest": "sha256:other"}
    repository, _ = opened("r.test/a", response(201, headers=headers))
    with repository, pytest.raises(ImageBuildFailedError, match="byte for byte"):
        repository.push_manifest("1", Document(OCI_MANIFEST, BODY))


def test_layer_of_the_same_registry_is_mounted() -> None:
    source, source_calls = opened("r.test/base")
    target, adapter = opened("r.test/job", response(201))
    with source, target:
        target.take_layer(DIGEST, source)
    [(method, url)] = calls(adapter)
    assert method == "POST"
    assert url.endswith(f"?mount={DIGEST.replace(':', '%3A')}&from=base")
    assert calls(source_calls) == []


def test_layer_of_the_same_repository_needs_no_call() -> None:
    source, _ = opened("r.test/base")
    target, adapter = opened("r.test/base")
    with source, target:
        target.take_layer(DIGEST, source)
    assert calls(adapter) == []


def test_layer_of_another_registry_is_copied() -> None:
    headers = {"Content-Length": str(len(BODY))}
    source, _ = opened("q.test/base", response(200, body=BODY, headers=headers))
    target, adapter = opened(
        "r.test/job", response(404), response(202, headers={"Location": "/up"}), response(201)
    )
    with source, target:
        target.take_layer(DIGEST, source)
    assert [method for method, _ in calls(adapter)] == ["HEAD", "POST", "PUT"]
    assert adapter.requests[-1].headers["Content-Length"] == str(len(BODY))


def test_unknown_repository_is_a_refusal() -> None:
    repository, _ = opened("r.test/a", response(404), response(404))
    with repository, pytest.raises(RegistryRefusedError, match="does not know the repository a"):
        repository.push_blob(BODY)


def test_copied_layer_with_other_bytes_completes_no_upload() -> None:
    wrong = BODY[:-1] + b"!"
    headers = {"Content-Length": str(len(wrong))}
    source, _ = opened("q.test/base", response(200, body=wrong, headers=headers))
    with source, source._open(DIGEST) as stream:
        first = stream.read(len(wrong) - 1)
        assert first == BODY[:-1]
        with pytest.raises(ImageBuildFailedError, match="has another hash"):
            stream.read(1)


def test_copied_layer_is_read_whole_where_the_digest_fits() -> None:
    headers = {"Content-Length": str(len(BODY))}
    source, _ = opened("q.test/base", response(200, body=BODY, headers=headers))
    with source, source._open(DIGEST) as stream:
        assert b"".join(stream) == BODY
