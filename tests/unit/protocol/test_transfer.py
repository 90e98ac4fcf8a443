"""Offers, parts and requests: what operator and client agree on without speaking."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Sequence

import pytest

from fedjob.protocol.sealing import SealError, new_private_key, public_key, seal
from fedjob.protocol.transfer import (
    MODEL_SOURCE,
    MOST_PARTS,
    MOST_REQUESTS,
    SHARDS,
    WHOLE,
    Download,
    ExpectedFile,
    ResultsOffer,
    ResultsRequest,
    Tunnel,
    UploadOffer,
    UploadRequest,
    checkpoint_path,
    expected_files,
    model_file_path,
    open_results_offer,
    open_upload_offer,
    parts_of,
    seal_offer,
    seal_what_fits,
)
from fedjob.spec.models.status import MAX_SEALED
from fedjob.spec.models.upload import LARGEST_FILE
from fedjob.spec.validation.parse import parse_object
from fedjob.storage.layout import Layout
from support.spec.sample_job import UPLOAD, job

PRIVATE = new_private_key()
PUBLIC = public_key(PRIVATE)
MIB = 1024**2
REQUEST = UploadRequest(
    path="shards/a.zip", part=2, offset=WHOLE, length=5, url="https://s/a?sig=1", headers={"a": "b"}
)
OFFER = UploadOffer(
    sequence=3,
    expires=100,
    requests=[REQUEST],
    endpoint="http://store:8333",
    tunnel=Tunnel(namespace="fedjob", pod="store-0", port=8333),
)


@pytest.mark.parametrize("size", [1, WHOLE - 1, WHOLE])
def test_small_files_go_whole(size: int) -> None:
    (part,) = parts_of(size)
    assert (part.number, part.offset, part.length) == (0, 0, size)


@pytest.mark.parametrize(
    ("size", "step"),
    [
        (WHOLE + 1, 16 * MIB),
        (16 * MIB * 1000, 16 * MIB),
        (16 * MIB * 1000 + 1, 17 * MIB),
        (LARGEST_FILE, 5243 * MIB),
    ],
)
def test_parts_cover_the_file_without_gaps(size: int, step: int) -> None:
    parts = list(parts_of(size))
    assert [part.number for part in parts] == list(range(1, len(parts) + 1))
    assert len(parts) <= MOST_PARTS
    assert parts[0].length == step
    assert all(b.offset == a.offset + a.length for a, b in itertools.pairwise(parts))
    assert sum(part.length for part in parts) == size
    assert all(part.length >= 5 * MIB for part in parts[:-1]), "the least that S3 takes"


def test_the_job_names_the_files_that_it_waits_for() -> None:
    files = [{**UPLOAD, "name": "b.zip", "size": 7}, UPLOAD]
    spec = parse_object(
        job({"spec.shards.upload.files": files, "spec.federation.minClients": 1})
    ).spec
    digest = UPLOAD["sha256"]
    assert expected_files(spec) == [
        ExpectedFile("shards/a.zip", "a.zip", digest, 1),
        ExpectedFile("shards/b.zip", "b.zip", digest, 7),
    ]
    assert expected_files(parse_object(job({})).spec) == []


def test_files_of_the_model_are_waited_for_too() -> None:
    digest = UPLOAD["sha256"]
    spec = parse_object(
        job({
            "spec.model.source": {"upload": {"sha256": digest, "size": 3}},
            "spec.model.upload": {
                "checkpoint": {"suffix": ".pt", "sha256": digest, "size": 4},
                "files": [{"path": "pkg/a.bin", "sha256": digest, "size": 0}],
            },
        })
    ).spec  # fmt: skip
    assert expected_files(spec) == [
        ExpectedFile("model/checkpoint.pt", "checkpoint.pt", digest, 4),
        ExpectedFile("model/files/pkg/a.bin", "pkg/a.bin", digest, 0),
        ExpectedFile("model/model_def.py", "model_def.py", digest, 3),
    ]


def test_uploads_lie_where_the_job_keeps_its_objects() -> None:
    layout = Layout("team", "digits")
    assert layout.root + checkpoint_path(".pt") == layout.checkpoint(".pt")
    assert layout.root + SHARDS == layout.shards
    assert (layout.root + model_file_path("a")).startswith(layout.model)
    assert (layout.root + MODEL_SOURCE).startswith(layout.model)


def test_an_offer_is_read_by_its_client_for_its_job() -> None:
    sealed = seal_offer(OFFER, PUBLIC, "uid")
    assert open_upload_offer(sealed, PRIVATE, "uid") == OFFER
    with pytest.raises(SealError):
        open_upload_offer(sealed, PRIVATE, "another")
    with pytest.raises(SealError):
        open_results_offer(sealed, PRIVATE, "uid")


def test_results_are_read_by_their_client() -> None:
    found = Download(path="model_out/result.json", size=3, etag='"x"', url="https://s/r")
    offer = ResultsOffer(nonce="n", expires=9, objects=[found], omitted=4)
    assert open_results_offer(seal_offer(offer, PUBLIC, "uid"), PRIVATE, "uid") == offer


def test_fields_of_a_newer_operator_are_ignored() -> None:
    newer = {**OFFER.model_dump(mode="json", by_alias=True), "later": 1}
    sealed = seal(json.dumps(newer).encode(), PUBLIC, "uid/upload")
    assert open_upload_offer(sealed, PRIVATE, "uid") == OFFER


def test_an_offer_of_another_form_asks_for_the_operators_version() -> None:
    sealed = seal(b'{"sequence": "many"}', PUBLIC, "uid/upload")
    with pytest.raises(SealError, match="operator's version of fedjob"):
        open_upload_offer(sealed, PRIVATE, "uid")
    with pytest.raises(SealError, match="operator's version of fedjob"):
        open_results_offer(seal(b"{}", PUBLIC, "uid/results"), PRIVATE, "uid")


def test_urls_are_not_in_the_text_of_an_offer() -> None:
    assert "sig=1" not in repr(OFFER)
    assert "https" not in repr(Download(path="a", size=1, url="https://s/r"))


def test_the_largest_offer_fits_into_a_status() -> None:
    signature = "0123456789abcdef" * 4
    requests = [
        REQUEST.model_copy(
            update={
                "path": f"shards/{number:0128}.zip",
                "url": f"https://store.example/bucket/jobs/{'n' * 63}/{'j' * 40}/shards/"
                f"{number:0128}.zip?X-Amz-Credential=AKIA%2F20261126%2Fus-east-1%2Fs3%2Faws4_request"
                f"&uploadId={hash((number, 'u')) & (2**64 - 1):064x}"
                f"&X-Amz-Signature={hash((number, 'a')):x}{signature[: 64 - 16]}",
            }
        )
        for number in range(MOST_REQUESTS)
    ]
    sealed = seal_offer(OFFER.model_copy(update={"requests": requests}), PUBLIC, "uid")
    assert len(sealed) < MAX_SEALED


@pytest.mark.parametrize(
    ("text", "request_"),
    [
        ("abc", ResultsRequest("abc")),
        ("a_B-9/round=12", ResultsRequest("a_B-9", 12)),
        ("a/round=0", ResultsRequest("a", 0)),
    ],
)
def test_a_request_for_results_is_its_text(text: str, request_: ResultsRequest) -> None:
    assert ResultsRequest.parse(text) == request_
    assert request_.text() == text


@pytest.mark.parametrize(
    "text", ["", "a b", "a/round=", "a/round=01", "a/round=-1", "a/other=1", "n" * 65, "é", "a\n"]
)
def test_other_text_is_no_request(text: str) -> None:
    assert ResultsRequest.parse(text) is None


def test_offer_that_is_too_long_has_as_many_items_as_fit() -> None:
    """Random text does not compress, so a thousand of these requests are too long."""
    items = [REQUEST.model_copy(update={"url": random.randbytes(700).hex()}) for _ in range(1000)]

    def make(requests: Sequence[UploadRequest]) -> UploadOffer:
        return OFFER.model_copy(update={"requests": list(requests)})

    sealed, count = seal_what_fits(make, items, PUBLIC, "uid")
    assert 0 < count < 1000
    assert len(sealed) <= MAX_SEALED
    assert open_upload_offer(sealed, PRIVATE, "uid").requests == items[:count]
    assert seal_what_fits(make, items[:1], PUBLIC, "uid")[1] == 1
