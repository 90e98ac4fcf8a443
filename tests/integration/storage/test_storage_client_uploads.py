"""Presigned uploads on a real store: it refuses what was not announced, and the operator resumes.

Everything runs over plain HTTP requests, as a client without keys makes them.
"""

# ruff: noqa: S310, S324 - the URLs are the test's own, and Content-MD5 is what S3 checks

from __future__ import annotations

import base64
import hashlib
import json
import random
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import pytest

from fedjob.engines.local.store.embedded_store import EmbeddedStore
from fedjob.protocol.config import StoreLocation
from fedjob.protocol.sealing import new_private_key, public_key
from fedjob.protocol.transfer import (
    WHOLE,
    ExpectedFile,
    UploadRequest,
    open_results_offer,
    open_upload_offer,
)
from fedjob.storage.bucket import Bucket
from fedjob.storage.client_uploads import OpenUpload
from fedjob.storage.layout import Layout
from fedjob.storage.owner import Owner
from fedjob_operator.stages.job_store import JobStore
from fedjob_operator.stages.results import ResultsJob, offer_results
from fedjob_operator.stages.uploads import (
    UploadJob,
    UploadLimits,
    abort_uploads,
    look_at_uploads,
)
from fedjob_operator.state.transfers import TransferAsk, Uploads
from fedjob_runtime.site_log.post_form import post_form

MIB = 1024 * 1024
SMALL = random.Random(1).randbytes(5_000)
LARGE = random.Random(2).randbytes(2 * WHOLE + 777)
PRIVATE = new_private_key()
ASK = TransferAsk(key=public_key(PRIVATE))
OWNER = Owner("uid-1", "2026-11-24T10:00:00Z")
LIMITS = UploadLimits(file_bytes=10**9, total_bytes=10**9, days=36500.0, url_seconds=600)
NOW = 1_800_000_000.0


def put(url: str, data: bytes, headers: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Sends a presigned PUT: the status, and the ETag or the error's text."""
    request = urllib.request.Request(url, data=data, headers=dict(headers or {}), method="PUT")
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, str(answer.headers["ETag"])
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def md5(data: bytes) -> dict[str, str]:
    return {"Content-MD5": base64.b64encode(hashlib.md5(data).digest()).decode()}


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_a_whole_file_is_taken_only_as_it_was_announced(
    bucket: Bucket, location: StoreLocation
) -> None:
    key = f"{location.prefix}/shards/a b.zip"
    signed = bucket.client_uploads().presign_put(
        key, size=len(SMALL), sha256=sha(SMALL), seconds=60
    )
    other = SMALL[:-1] + b"!"
    assert put(signed.url, SMALL + b"x", signed.headers)[0] == 403
    assert put(signed.url, SMALL, {})[0] == 403
    assert put(signed.url, SMALL, {**signed.headers, "x-amz-meta-more": "1"})[0] == 403
    assert put(signed.url, other, signed.headers)[0] == 400
    assert put(signed.url, SMALL, {**signed.headers, **md5(other)})[0] == 400
    assert put(signed.url.replace("shards/a", "shards/b"), SMALL, signed.headers)[0] == 403
    assert bucket.head(key) is None
    assert put(signed.url, SMALL, {**signed.headers, **md5(SMALL)})[0] == 200
    found = bucket.head(key)
    assert found is not None
    assert (found.size, found.sha256) == (len(SMALL), sha(SMALL))
    assert found.modified > 0


def test_parts_have_the_length_that_was_signed(bucket: Bucket, location: StoreLocation) -> None:
    uploads, key = bucket.client_uploads(), f"{location.prefix}/shards/big.zip"
    upload = OpenUpload(key, uploads.start(key, sha(LARGE)), 0.0)
    pieces = [LARGE[at : at + 16 * MIB] for at in range(0, len(LARGE), 16 * MIB)]
    for number, piece in enumerate(pieces, start=1):
        signed = uploads.presign_part(key, upload.upload_id, number, size=len(piece), seconds=60)
        assert put(signed.url, piece[:-1])[0] == 403
        assert put(signed.url, piece, md5(b"other"))[0] == 400
        status, etag = put(signed.url, piece, md5(piece))
        assert (status, etag) == (200, f'"{hashlib.md5(piece).hexdigest()}"')
    parts = uploads.parts(upload)
    assert parts is not None
    assert [(part.number, part.size) for part in parts] == [
        (number, len(piece)) for number, piece in enumerate(pieces, start=1)
    ]
    assert bucket.head(key) is None
    uploads.complete(upload, parts)
    uploads.complete(upload, parts)
    assert uploads.parts(upload) is None
    assert bucket.get_bytes(key, limit=len(LARGE)) == LARGE
    found = bucket.head(key)
    assert found is not None
    assert found.sha256 == sha(LARGE)


def test_a_form_writes_one_object_of_bounded_size(
    bucket: Bucket, location: StoreLocation, tmp_path: Path
) -> None:
    key, file = f"{location.prefix}/files_out/logs/worker-0/0.log", tmp_path / "log-0.json"
    form = bucket.client_uploads().presign_form(key, most=1000, seconds=60)
    file.write_text(json.dumps(form))
    for data in (b"first", bytes(range(250)) * 4):
        post_form(file, data)
        assert bucket.get_bytes(key) == data
    with pytest.raises(OSError, match="the store answered 400"):
        post_form(file, b"x" * 1001)
    form["fields"]["key"] = f"{location.prefix}/shards/a.zip"
    file.write_text(json.dumps(form))
    with pytest.raises(OSError, match="the store answered 403"):
        post_form(file, b"x")
    assert bucket.head(f"{location.prefix}/shards/a.zip") is None


def test_all_open_uploads_under_a_prefix_are_found(bucket: Bucket, location: StoreLocation) -> None:
    uploads, prefix = bucket.client_uploads(), f"{location.prefix}/jobs/a/"
    keys = [f"{prefix}{number}.zip" for number in range(12)]
    names = {uploads.start(key, sha(SMALL)) for key in keys}
    outside = uploads.start(f"{location.prefix}/jobs/ab.zip", sha(SMALL))
    found = list(uploads.open(prefix))
    assert {each.upload_id for each in found} == names
    assert sorted(each.key for each in found) == sorted(keys)
    assert all(each.started > 0 for each in found)
    for each in found:
        uploads.abort(each)
        uploads.abort(each)
    assert list(uploads.open(prefix)) == []
    assert [each.upload_id for each in uploads.open(f"{location.prefix}/jobs/")] == [outside]
    assert uploads.parts(found[0]) is None


def test_an_aborted_upload_takes_no_parts(bucket: Bucket, location: StoreLocation) -> None:
    uploads, key = bucket.client_uploads(), f"{location.prefix}/shards/gone.zip"
    upload = OpenUpload(key, uploads.start(key, sha(LARGE)), 0.0)
    signed = uploads.presign_part(key, upload.upload_id, 1, size=3, seconds=60)
    uploads.abort(upload)
    assert put(signed.url, b"abc")[0] == 404


@pytest.fixture
def job_store(store: EmbeddedStore, location: StoreLocation) -> JobStore:
    layout = Layout("team", "digits", location.prefix)
    return JobStore(location, location, store.credentials, layout)


FILES = [
    ExpectedFile("shards/a.zip", "a.zip", sha(SMALL), len(SMALL)),
    ExpectedFile("shards/big.zip", "big.zip", sha(LARGE), len(LARGE)),
]
DATA = {"shards/a.zip": SMALL, "shards/big.zip": LARGE}


def look(
    store: JobStore, before: Uploads | None, now: float, owner: Owner = OWNER
) -> tuple[Uploads, list[UploadRequest]]:
    job = UploadJob(owner=owner, files=FILES, ask=ASK)
    signing = store.for_clients(None)
    found = look_at_uploads(
        store, job, LIMITS, signing=signing, may_act=lambda: None, before=before, now=now
    )
    if found.offer is None:
        return found, []
    return found, open_upload_offer(found.offer.sealed, PRIVATE, owner.uid).requests


def send(request: UploadRequest) -> None:
    data = DATA[request.path][request.offset : request.offset + request.length]
    assert put(request.url, data, {**request.headers, **md5(data)})[0] == 200


@pytest.mark.parametrize("restarts", [False, True], ids=["one operator", "restarted each time"])
def test_an_upload_is_resumed_after_every_request(job_store: JobStore, restarts: bool) -> None:
    found, requests = look(job_store, None, NOW)
    total, sent = len(requests), 0
    assert total == 4
    while requests:
        send(requests[0])
        sent += 1
        found, requests = look(job_store, None if restarts else found, NOW + sent)
        if not restarts:  # the same offer still serves: what is sent is not sent again
            requests = requests[sent:]
    assert sent == total
    assert found.complete
    for path, data in DATA.items():
        head = job_store.bucket().head(job_store.layout.root + path)
        assert head is not None
        assert (head.size, head.sha256) == (len(data), sha(data))
    assert list(job_store.bucket().client_uploads().open(job_store.layout.root)) == []


def test_parts_of_a_deleted_job_are_removed(job_store: JobStore) -> None:
    _, requests = look(job_store, None, NOW)
    send(requests[1])
    assert abort_uploads(job_store, Owner("uid-2", OWNER.created), lambda: None) == 0
    assert abort_uploads(job_store, OWNER, lambda: None) == 1
    assert list(job_store.bucket().client_uploads().open(job_store.layout.root)) == []


def test_a_later_job_of_the_name_inherits_complete_files_only(job_store: JobStore) -> None:
    """A complete file has the SHA-256 that it was announced with; parts have none."""
    _, requests = look(job_store, None, NOW)
    for request in requests[:2]:
        send(request)
    look(job_store, None, NOW + 1)
    found, requests = look(job_store, None, NOW + 2, Owner("uid-2", "2026-11-24T11:00:00Z"))
    assert set(found.verified) == {"shards/a.zip"}
    assert found.bytes == len(SMALL)
    assert [(request.path, request.part) for request in requests] == [
        ("shards/big.zip", number) for number in (1, 2, 3)
    ]


def test_results_are_read_by_their_urls(job_store: JobStore, tmp_path: Path) -> None:
    look(job_store, None, NOW)
    bucket, layout = job_store.bucket(), job_store.layout
    bucket.put_bytes(layout.result("result.json"), b"{}")
    bucket.put_bytes(layout.under(layout.files_out, "logs/server/1.log"), b"started\n")
    job = ResultsJob(owner=OWNER, ask=TransferAsk(key=ASK.key, results="n1"), url_seconds=60)
    found = offer_results(job_store, job_store.for_clients(None), job, NOW)
    offer = open_results_offer(found.sealed, PRIVATE, OWNER.uid)
    got = {}
    for each in offer.objects:
        with urllib.request.urlopen(each.url) as answer:
            got[each.path] = answer.read()
            assert (len(got[each.path]), answer.headers["ETag"]) == (each.size, each.etag)
    assert got == {"model_out/result.json": b"{}", "files_out/logs/server/1.log": b"started\n"}
