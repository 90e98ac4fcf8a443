"""`spec.model.files` from a real store: objects, prefixes, archives and ConfigMap keys."""

from __future__ import annotations

import asyncio
import base64
import io
import tarfile
import uuid
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import pytest

from fedjob.engines.local.store.embedded_store import EmbeddedStore
from fedjob.errors import FedjobError
from fedjob.protocol.config import StoreLocation
from fedjob.storage.bucket import Bucket
from fedjob.workspace.files.rules import DEFAULT_LIMITS
from fedjob_operator.kube.client import Cluster
from fedjob_operator.naming import Body
from fedjob_operator.stages.job_store import JobStore, open_store
from fedjob_operator.stages.model_files import ModelInputs, read_model
from support.operator.samples import DEFAULTS, a_job

SOURCE = b"import helpers\nfrom torch import nn\nclass Net(nn.Module): pass\n"
FILES = {
    "helpers.py": b"ONE = 1\n",
    "layers/__init__.py": b"",
    "layers/data/terms.txt": "grün, größer\n".encode(),
    "layers/data/table.bin": bytes(range(256)) * 300,
}


class OneConfigMap:
    """A cluster with one ConfigMap, `code`."""

    def __init__(self, **data: bytes) -> None:
        self._data = data

    async def get(self, _version: str, kind: str, _namespace: str, name: str) -> Body | None:
        if (kind, name) != ("ConfigMap", "code"):
            return None
        text = {key: value.decode() for key, value in self._data.items() if b"\xff" not in value}
        binary = {
            key: base64.b64encode(value).decode()
            for key, value in self._data.items()
            if key not in text
        }
        return {"data": text, "binaryData": binary}


@pytest.fixture
def code(store: EmbeddedStore) -> Iterator[Bucket]:
    """A bucket of its own, beside the job's."""
    name = f"code-{uuid.uuid4().hex[:8]}"
    location = store.location.model_copy(update={"bucket": name, "prefix": ""})
    with Bucket(location, store.credentials) as bucket:
        bucket.ensure_bucket()
        bucket.put_bytes("net/model.py", SOURCE)
        yield bucket


@pytest.fixture
def opened(store: EmbeddedStore, location: StoreLocation) -> JobStore:
    defaults = replace(
        DEFAULTS,
        bucket=location.bucket,
        prefix=location.prefix,
        endpoint=location.endpoint,
        keys=store.credentials.environment(),
    )
    return asyncio.run(open_store(cast(Cluster, OneConfigMap()), a_job(), defaults, None))


def read(opened: JobStore, code: Bucket, *files: dict[str, Any], **keys: bytes) -> ModelInputs:
    source = {"uri": f"s3://{code.location.bucket}/net/model.py"}
    job = a_job(model={"source": source, "className": "Net", "files": list(files)})
    return asyncio.run(read_model(cast(Cluster, OneConfigMap(**keys)), job, opened))


def uri(code: Bucket, key: str) -> str:
    return f"s3://{code.location.bucket}/{key}"


def zipped(files: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()


def tarred(files: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return data.getvalue()


def test_prefix_is_read_with_its_folders(opened: JobStore, code: Bucket) -> None:
    for name, content in FILES.items():
        code.put_bytes(f"team/net/{name}", content)
    code.put_bytes("team/net/", b"")  # as consoles mark a folder
    code.put_bytes("team/network/other.py", b"no")
    found = read(opened, code, {"path": ".", "uri": uri(code, "team/net/")})
    assert found.files == FILES
    assert found.source.content == SOURCE
    below = read(opened, code, {"path": "vendor/net", "uri": uri(code, "team/net/")})
    assert below.files == {f"vendor/net/{name}": content for name, content in FILES.items()}


def test_folder_of_code_may_hold_the_model_file_too(opened: JobStore, code: Bucket) -> None:
    code.put_bytes("net/helpers.py", FILES["helpers.py"])
    code.put_bytes("net/model_def.py", SOURCE)
    found = read(opened, code, {"path": ".", "uri": uri(code, "net/")})
    assert found.files == {"helpers.py": FILES["helpers.py"], "model.py": SOURCE}
    code.put_bytes("net/model_def.py", SOURCE + b"# later\n")
    with pytest.raises(FedjobError, match="remove one of the two"):
        read(opened, code, {"path": ".", "uri": uri(code, "net/")})


def test_prefix_of_more_objects_than_one_listing_gives(opened: JobStore, code: Bucket) -> None:
    names = {f"data/part-{number:04}.txt": b"%d" % number for number in range(1100)}
    for name, content in names.items():
        code.put_bytes(f"many/{name}", content)
    assert read(opened, code, {"path": ".", "uri": uri(code, "many/")}).files == names


@pytest.mark.parametrize(
    ("name", "pack"), [("net.zip", zipped), ("net.tar.gz", tarred), ("net.tgz", tarred)]
)
def test_archive_is_unpacked(opened: JobStore, code: Bucket, name: str, pack: Any) -> None:
    code.put_bytes(name, pack(FILES))
    assert read(opened, code, {"path": ".", "uri": uri(code, name)}).files == FILES
    whole = read(opened, code, {"path": name, "uri": uri(code, name)})
    assert list(whole.files) == [name], "a path of that ending keeps the archive"


def test_keys_of_a_config_map_may_be_binary(opened: JobStore, code: Bucket) -> None:
    refs = [
        {"path": "helpers.py", "configMapKeyRef": {"name": "code", "key": "text"}},
        {"path": "a/table.bin", "configMapKeyRef": {"name": "code", "key": "binary"}},
    ]
    table = FILES["layers/data/table.bin"]
    found = read(opened, code, *refs, text=FILES["helpers.py"], binary=table)
    assert found.files == {"helpers.py": FILES["helpers.py"], "a/table.bin": table}


def test_all_three_ways_at_once_and_one_object(opened: JobStore, code: Bucket) -> None:
    code.put_bytes("layers/data/terms.txt", b"x")
    code.put_bytes("lib.zip", zipped({"lib/__init__.py": b"L = 1"}))
    code.put_bytes("weights.json", b"{}")
    found = read(
        opened,
        code,
        {"path": "layers", "uri": uri(code, "layers/")},
        {"path": ".", "uri": uri(code, "lib.zip")},
        {"path": "data/weights.json", "uri": uri(code, "weights.json")},
        {"path": "helpers.py", "configMapKeyRef": {"name": "code", "key": "h"}},
        {"path": "notes.txt", "text": "inline"},
        h=b"ONE = 1",
    )
    assert found.files == {
        "layers/data/terms.txt": b"x",
        "lib/__init__.py": b"L = 1",
        "data/weights.json": b"{}",
        "helpers.py": b"ONE = 1",
        "notes.txt": b"inline",
    }


@pytest.mark.parametrize(
    ("path", "key", "content", "problem"),
    [
        (".", "nothing/", None, "holds no object"),
        (".", "absent.zip", None, "absent.zip"),
        (".", "broken.zip", b"PK\x03\x04 no archive", "broken.zip"),
        (".", "up.zip", zipped({"../up.py": b""}), "up.py"),
        ("big.bin", "big.bin", bytes(DEFAULT_LIMITS.max_file_bytes + 1), "at most"),
    ],
    # A ZIP holds the time at which it was made: ids from it would differ between xdist's workers.
    ids=["empty prefix", "absent", "broken", "outside", "too large"],
)
def test_what_cannot_be_used_is_named(
    opened: JobStore, code: Bucket, path: str, key: str, content: bytes | None, problem: str
) -> None:
    if content is not None:
        code.put_bytes(key, content)
    with pytest.raises(FedjobError, match=problem) as caught:
        read(opened, code, {"path": path, "uri": uri(code, key)})
    assert str(caught.value.reason) in ("SourceInvalid", "ObjectMissing")
