from __future__ import annotations

import hashlib
import io
import os
import random
import threading
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fedjob.engines.local.store.embedded_store import EmbeddedStore
from fedjob.engines.local.store.ports import Ports
from fedjob.errors import InvalidInputError, UnavailableError
from fedjob.protocol.config import StoreLocation
from fedjob.storage.bucket import Bucket
from fedjob.storage.credentials import Credentials
from fedjob.storage.errors import (
    AlreadyExistsError,
    BucketMissingError,
    ChecksumMismatchError,
    CredentialsRefusedError,
    ObjectChangedError,
    ObjectMissingError,
    StoreUnreachableError,
)
from fedjob.storage.objects import Outcome

MIB = 1024 * 1024


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.fixture
def at(location: StoreLocation) -> Callable[[str], str]:
    return lambda name: f"{location.prefix}/{name}"


def test_bytes_come_back_with_their_checksum(bucket: Bucket, at: Callable[[str], str]) -> None:
    data = random.Random(1).randbytes(10_000)
    bucket.put_bytes(at("a b/ü+&.bin"), data)
    assert bucket.get_bytes(at("a b/ü+&.bin")) == data
    with bucket.open_seekable(at("a b/ü+&.bin")) as file:
        file.seek(100)
        assert file.read(50) == data[100:150]
        file.seek(9_990)
        assert file.read(50) == data[9_990:]
        file.seek(20_000)
        assert file.read(50) == b""
    info = bucket.head(at("a b/ü+&.bin"))
    assert info is not None
    assert (info.size, info.sha256) == (10_000, hashlib.sha256(data).hexdigest())
    bucket.put_bytes(at("empty"), b"")
    assert bucket.get_bytes(at("empty")) == b""
    assert bucket.head(at("none")) is None


@pytest.mark.parametrize("size", [10, 100_000])
def test_of_many_conditional_writers_one_wins(
    bucket: Bucket, at: Callable[[str], str], size: int
) -> None:
    """If-None-Match: * on the real server, 16 threads at once."""
    for turn in range(3):
        key, barrier = at(f"once-{turn}"), threading.Barrier(16)

        def write_mine(
            number: int, key: str = key, barrier: threading.Barrier = barrier
        ) -> int | None:
            barrier.wait()
            try:
                bucket.put_bytes(key, bytes([number]) * size, if_absent=True)
            except AlreadyExistsError:
                return None
            return number

        with ThreadPoolExecutor(16) as pool:
            winners = [n for n in pool.map(write_mine, range(16)) if n is not None]
        assert len(winners) == 1
        assert bucket.get_bytes(key) == bytes(winners) * size


def test_listing_pages(bucket: Bucket, at: Callable[[str], str]) -> None:
    names = {f"{index // 100}/{index}" for index in range(1_050)}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: bucket.put_bytes(at(f"many/{name}"), b"x"), names))
    found = [info.key for info in bucket.list(at("many/"))]
    assert len(found) == 1_050
    assert set(found) == {at(f"many/{name}") for name in names}
    assert [info.size for info in bucket.list(at("many/3/33"))] == [1] * 10
    assert list(bucket.list(at("nothing/"))) == []
    bucket.put_bytes(at("many-not/1"), b"x")
    assert bucket.delete_prefix(at("many/")) == 1_050
    assert [info.key for info in bucket.list(at(""))] == [at("many-not/1")]


@pytest.mark.parametrize("prefix", ["", "jobs"])
def test_a_prefix_to_delete_must_end(bucket: Bucket, prefix: str) -> None:
    with pytest.raises(ValueError, match="ends with a slash"):
        bucket.delete_prefix(prefix)


def test_delete_is_repeatable(bucket: Bucket, at: Callable[[str], str]) -> None:
    bucket.put_bytes(at("x"), b"x")
    bucket.delete(at("x"))
    bucket.delete(at("x"))
    assert bucket.head(at("x")) is None


@pytest.mark.parametrize("size", [0, 1, 16 * MIB, 16 * MIB + 1, 41 * MIB + 7])
def test_files_travel_whole_and_in_parts_with_progress(
    bucket: Bucket, at: Callable[[str], str], tmp_path: Path, size: int
) -> None:
    path = write(tmp_path / "in", random.Random(size).randbytes(size))
    calls: list[tuple[str, int, int]] = []
    upload = bucket.upload_file(path, at("file"), lambda *args: calls.append(args))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert (upload.sha256, upload.size, upload.outcome) == (sha256, size, Outcome.UPLOADED)
    assert calls[-1] == (at("file"), size, size)
    assert [done for _, done, _ in calls] == sorted(done for _, done, _ in calls)
    assert len(calls) == (1 if size <= 16 * MIB else -(-size // (8 * MIB)))

    calls.clear()
    assert bucket.download_file(at("file"), tmp_path / "new" / "out", sha256) == sha256
    bucket.download_file(at("file"), tmp_path / "out", None, lambda *args: calls.append(args))
    assert (tmp_path / "out").read_bytes() == path.read_bytes()
    assert (calls[0][1], calls[-1]) == (0, (at("file"), size, size))
    assert sorted(item.name for item in tmp_path.iterdir()) == ["in", "new", "out"]


def test_same_checksum_is_skipped_and_same_size_is_not(
    bucket: Bucket, at: Callable[[str], str], tmp_path: Path
) -> None:
    """Row 39, for a file that goes whole and one that goes in parts."""
    for size in (1000, 17 * MIB):
        first = write(tmp_path / "a", bytes(size))
        other = write(tmp_path / "b", bytes(size - 1) + b"x")
        assert bucket.upload_file(first, at("s")).outcome is Outcome.UPLOADED
        version = bucket.head(at("s"))
        assert bucket.upload_file(first, at("s")).outcome is Outcome.SKIPPED
        assert bucket.head(at("s")) == version
        assert bucket.upload_file(other, at("s")).outcome is Outcome.UPLOADED
        bucket.download_file(at("s"), tmp_path / "c")
        assert (tmp_path / "c").read_bytes() == other.read_bytes()


def test_an_object_without_a_recorded_checksum_is_uploaded_again(
    bucket: Bucket, at: Callable[[str], str], tmp_path: Path
) -> None:
    """Row 39: a user's own upload of the same bytes says nothing we can trust."""
    bucket._client.put_object(Bucket=bucket.location.bucket, Key=at("s"), Body=b"same")
    path = write(tmp_path / "a", b"same")
    assert bucket.upload_file(path, at("s")).outcome is Outcome.UPLOADED
    assert bucket.upload_file(path, at("s")).outcome is Outcome.SKIPPED


def test_a_tree_is_uploaded_and_a_second_time_skipped(
    bucket: Bucket, at: Callable[[str], str], tmp_path: Path
) -> None:
    for index in range(12):
        write(tmp_path / "tree" / f"d{index % 3}" / f"{index}.txt", f"{index}".encode())
    write(tmp_path / "tree" / "large", random.Random(3).randbytes(20 * MIB))
    done: dict[str, int] = {}
    uploads = bucket.upload_tree(
        tmp_path / "tree", at("t/"), lambda key, count, _: done.__setitem__(key, count)
    )
    assert {upload.outcome for upload in uploads} == {Outcome.UPLOADED}
    assert {upload.key: upload.size for upload in uploads} == done
    assert {info.key for info in bucket.list(at("t/"))} == set(done)
    assert bucket.get_bytes(at("t/d2/5.txt")) == b"5"
    write(tmp_path / "tree" / "d0" / "0.txt", b"9")
    again = bucket.upload_tree(tmp_path / "tree", at("t/"))
    changed = [upload.key for upload in again if upload.outcome is Outcome.UPLOADED]
    assert changed == [at("t/d0/0.txt")]


def test_a_download_that_fails_leaves_the_old_file(
    bucket: Bucket, at: Callable[[str], str], tmp_path: Path
) -> None:
    old = write(tmp_path / "f", b"old")
    bucket.put_bytes(at("f"), b"new")
    with pytest.raises(ChecksumMismatchError, match="restore it"):
        bucket.download_file(at("f"), old, "0" * 64)
    with pytest.raises(ObjectMissingError):
        bucket.download_file(at("g"), old)
    assert old.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [old]


def test_a_tampered_object_is_not_taken(
    bucket: Bucket, at: Callable[[str], str], tmp_path: Path
) -> None:
    """Other bytes under the metadata of the right ones."""
    sha256 = hashlib.sha256(b"right").hexdigest()
    bucket._client.put_object(
        Bucket=bucket.location.bucket, Key=at("f"), Body=b"wrong", Metadata={"sha256": sha256}
    )
    with pytest.raises(ChecksumMismatchError, match=at("f")):
        bucket.download_file(at("f"), tmp_path / "f")
    with pytest.raises(ChecksumMismatchError):
        bucket.get_bytes(at("f"))


def test_a_file_that_changes_while_it_is_sent_is_not_stored(
    bucket: Bucket, at: Callable[[str], str], tmp_path: Path
) -> None:
    path = write(tmp_path / "f", bytes(40 * MIB))

    def change(_key: str, done: int, _total: int) -> None:
        if done == 8 * MIB:
            with path.open("r+b") as file:
                file.seek(-1, os.SEEK_END)
                file.write(b"x")

    with pytest.raises(ChecksumMismatchError, match="changed while"):
        bucket.upload_file(path, at("f"), change, parallel=1)
    assert bucket.head(at("f")) is None
    uploads = bucket._client.list_multipart_uploads(Bucket=bucket.location.bucket, Prefix=at(""))
    assert uploads.get("Uploads", []) == []


def fetch(url: str, method: str = "GET") -> tuple[int, bytes]:
    try:
        body = b"" if method == "PUT" else None
        request = urllib.request.Request(url, method=method, data=body)  # noqa: S310
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, b""


def test_a_presigned_url_reads_its_object_and_nothing_else(
    bucket: Bucket, at: Callable[[str], str]
) -> None:
    """Row 38."""
    bucket.put_bytes(at("shards/a b.zip"), b"mine")
    bucket.put_bytes(at("shards/c.zip"), b"another's")
    url = bucket.presign_get(at("shards/a b.zip"), 3600)
    assert fetch(url) == (200, b"mine")
    assert fetch(url.replace("a%20b.zip", "c.zip"))[0] == 403
    assert fetch(url, "PUT")[0] == 403
    assert fetch(url.split("?", maxsplit=1)[0])[0] == 403
    assert fetch(url.replace("X-Amz-Expires=3600", "X-Amz-Expires=3601"))[0] == 403
    assert bucket.get_bytes(at("shards/a b.zip")) == b"mine"


def test_a_presigned_url_expires(bucket: Bucket, at: Callable[[str], str]) -> None:
    """Row 38."""
    bucket.put_bytes(at("x"), b"x")
    url = bucket.presign_get(at("x"), 1)
    waited = threading.Event()
    codes = [fetch(url)[0]]
    while codes[-1] == 200 and len(codes) < 100:
        waited.wait(0.2)
        codes.append(fetch(url)[0])
    assert codes[-1] == 403


def test_a_presigned_url_of_wrong_keys_is_refused(
    store: EmbeddedStore, bucket: Bucket, at: Callable[[str], str]
) -> None:
    bucket.put_bytes(at("x"), b"x")
    wrong = Credentials(store.credentials.access_key, "wrong" * 8)
    with Bucket(store.location, wrong) as other:
        assert fetch(other.presign_get(at("x")))[0] == 403


@pytest.mark.parametrize("seconds", [0, -1, 3601])
def test_a_presigned_url_lives_an_hour_at_most(bucket: Bucket, seconds: int) -> None:
    """Row 38."""
    with pytest.raises(InvalidInputError, match="1 to 3600"):
        bucket.presign_get("x", seconds)


def test_a_zip_is_read_by_ranges(bucket: Bucket, at: Callable[[str], str], tmp_path: Path) -> None:
    path = tmp_path / "shard.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("0.png", bytes(20 * MIB))
        archive.writestr("manifest.ndjson", '{"id": "0", "uri": "0.png", "y": 1}\n' * 1000)
    bucket.upload_file(path, at("shard.zip"))
    with bucket.open_seekable(at("shard.zip")) as remote, zipfile.ZipFile(remote) as archive:
        with archive.open("manifest.ndjson") as manifest:
            assert sum(1 for _ in manifest) == 1000
        assert archive.testzip() is None


def test_an_object_replaced_while_it_is_read_is_noticed(
    bucket: Bucket, at: Callable[[str], str]
) -> None:
    bucket.put_bytes(at("x"), bytes(MIB))
    with bucket.open_seekable(at("x")) as remote:
        remote.read(10)
        bucket.put_bytes(at("x"), bytes(MIB - 1) + b"x")
        remote.seek(0, io.SEEK_END)
        remote.seek(-10, io.SEEK_END)
        with pytest.raises(ObjectChangedError, match="read it again"):
            remote.read()


OPERATIONS: list[tuple[str, Callable[[Bucket, Path], object]]] = [
    ("put", lambda bucket, _: bucket.put_bytes("x/y", b"y")),
    ("put once", lambda bucket, _: bucket.put_bytes("x/y", b"y", if_absent=True)),
    ("get", lambda bucket, _: bucket.get_bytes("x/y")),
    ("range", lambda bucket, _: bucket.open_seekable("x/y").read(1)),
    ("list", lambda bucket, _: list(bucket.list("x/"))),
    ("download", lambda bucket, path: bucket.download_file("x/y", path / "out")),
    ("upload", lambda bucket, path: bucket.upload_file(write(path / "f", b"y"), "x/y")),
    (
        "upload parts",
        lambda bucket, path: bucket.upload_file(write(path / "f", bytes(17 * MIB)), "x/y"),
    ),
    ("open", lambda bucket, _: bucket.open_seekable("x/y")),
]


@pytest.mark.parametrize(("name", "operation"), OPERATIONS, ids=[name for name, _ in OPERATIONS])
def test_each_operation_names_what_is_wrong(
    store: EmbeddedStore,
    tmp_path: Path,
    name: str,
    operation: Callable[[Bucket, Path], object],
) -> None:
    with Ports() as ports:
        silent = f"http://127.0.0.1:{ports.take()}"
        here, keys = store.location, store.credentials
        cases = [
            (here.model_copy(update={"bucket": "no-such-bucket"}), keys, BucketMissingError,
             "create the bucket 'no-such-bucket'"),
            (here, Credentials(keys.access_key, "x" * 40), CredentialsRefusedError,
             "AWS_SECRET_ACCESS_KEY"),
            (here, Credentials("UNKNOWNKEY", "x" * 40), CredentialsRefusedError,
             "AWS_SECRET_ACCESS_KEY"),
            (here.model_copy(update={"endpoint": silent}), keys, StoreUnreachableError,
             "spec.storage.endpoint"),
        ]  # fmt: skip
        for location, credentials, kind, fix in cases:
            with Bucket(location, credentials, attempts=1) as bucket:
                with pytest.raises(kind) as caught:
                    operation(bucket, tmp_path)
                assert isinstance(caught.value, UnavailableError)
                text = str(caught.value)
                assert text.startswith(f"s3://{location.bucket}/")
                assert f" at {location.endpoint}: " in text
                assert fix in text


@pytest.mark.parametrize("operation", ["get_bytes", "open_seekable"])
def test_a_missing_object_is_named(
    bucket: Bucket, at: Callable[[str], str], operation: str
) -> None:
    with pytest.raises(ObjectMissingError, match=at("none")):
        getattr(bucket, operation)(at("none"))


def test_no_credentials_at_all(
    store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with Bucket(store.location) as bucket:
        with pytest.raises(CredentialsRefusedError, match="no credentials found; set AWS_ACCESS"):
            bucket.put_bytes("x", b"x")
        with pytest.raises(CredentialsRefusedError, match="no credentials found"):
            bucket.presign_get("x")


def test_credentials_come_from_the_environment(
    store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch, at: Callable[[str], str]
) -> None:
    for name, value in store.credentials.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # loopback must not go there
    with Bucket(store.location) as bucket:
        bucket.put_bytes(at("x"), b"x")
        assert bucket.get_bytes(at("x")) == b"x"


def test_secrets_are_not_shown() -> None:
    assert "hidden" not in repr(Credentials("KEY", "hidden", "hidden"))


@pytest.mark.parametrize("endpoint", ["not a url", "127.0.0.1:8333", "http://"])
def test_an_endpoint_that_is_no_url(endpoint: str, store: EmbeddedStore) -> None:
    with (
        Bucket(StoreLocation(endpoint=endpoint, bucket="b"), store.credentials) as bucket,
        pytest.raises(InvalidInputError, match=r"spec\.storage\.endpoint"),
    ):
        bucket.head("x")


def test_ensure_bucket_makes_it_once(store: EmbeddedStore) -> None:
    location = store.location.model_copy(update={"bucket": "made-by-test"})
    with Bucket(location, store.credentials) as bucket:
        with ThreadPoolExecutor(4) as pool:
            for future in [pool.submit(bucket.ensure_bucket) for _ in range(4)]:
                future.result()
        bucket.put_bytes("x", b"x")
        bucket.ensure_bucket()
        assert bucket.get_bytes("x") == b"x"
