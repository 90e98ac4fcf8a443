"""What the operator reads of the author: ConfigMap keys, objects, prefixes and archives."""

import asyncio
import base64
import hashlib
import io
import json
import zipfile
from types import SimpleNamespace

import pytest

from fedjob.reasons import Reason
from fedjob.spec.validation.parse import parse_job
from fedjob.storage.layout import Layout
from fedjob.workspace.files.rules import FileLimits
from fedjob_operator.stages import model_files
from fedjob_operator.stages.errors import InputError
from fedjob_operator.stages.model_files import read_model

TEXT = "import torch.nn as nn\nclass Net(nn.Module): pass\n"


class Bucket:
    def __init__(self, objects):
        self.objects = objects

    def uri(self, key):
        return f"s3://bucket/{key}"

    def head(self, key):
        found = self.objects.get(key)
        return None if found is None else SimpleNamespace(key=key, size=len(found))

    def get_bytes(self, key, limit):
        return self.objects[key]

    def list(self, prefix):
        return [self.head(key) for key in sorted(self.objects) if key.startswith(prefix)]


class Cluster:
    def __init__(self, maps):
        self.maps = maps

    async def get(self, _version, _kind, namespace, name):
        assert namespace == "team"
        return self.maps.get(name)


def zipped(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def read(files=(), source=None, objects=None, maps=None, upload=None):
    job = {
        "apiVersion": "fedjob.dev/v1alpha1",
        "kind": "FederatedJob",
        "metadata": {"name": "digits", "namespace": "team"},
        "spec": {
            "model": {
                "source": source or {"inline": TEXT},
                "className": "Net",
                "files": list(files),
                **({"upload": upload} if upload else {}),
            }
        },
    }
    bucket = Bucket(objects or {})
    store = SimpleNamespace(
        bucket=lambda name="bucket": {"bucket": bucket}[name], layout=Layout("team", "digits")
    )
    return asyncio.run(read_model(Cluster(maps or {}), parse_job(json.dumps(job), "job"), store))


def refused(*args, reason=Reason.SOURCE_INVALID, **options):
    with pytest.raises(InputError) as caught:
        read(*args, **options)
    assert caught.value.reason == reason
    return str(caught.value)


def test_files_come_from_text_config_maps_objects_prefixes_and_archives():
    """Issue 15, item 6."""
    archive = zipped({"pkg/__init__.py": b"", "pkg/a.py": b"A = 1"})
    found = read(
        files=[
            {"path": "helpers.py", "text": "T = 'é'"},
            {"path": "labels.txt", "configMapKeyRef": {"name": "m", "key": "labels.txt"}},
            {"path": "x.bin", "configMapKeyRef": {"name": "m", "key": "x.bin"}},
            {"path": "tokenizer.json", "uri": "s3://bucket/t.json"},
            {"path": "data", "uri": "s3://bucket/data/"},
            {"path": ".", "uri": "s3://bucket/code.zip"},
            {"path": "lib", "uri": "s3://bucket/more.zip"},
            {"path": "kept.zip", "uri": "s3://bucket/code.zip"},
        ],
        objects={
            "t.json": b"{}",
            "data/": b"",
            "data/a.txt": b"a",
            "data/sub/b.txt": b"b",
            "database": b"",
            "code.zip": archive,
            "more.zip": zipped({"z.py": b""}),
        },
        maps={
            "m": {
                "data": {"labels.txt": "cat"},
                "binaryData": {"x.bin": base64.b64encode(b"\xff\0").decode()},
            }
        },
    )
    assert found.files == {
        "helpers.py": "T = 'é'".encode(),
        "labels.txt": b"cat",
        "x.bin": b"\xff\0",
        "tokenizer.json": b"{}",
        "data/a.txt": b"a",
        "data/sub/b.txt": b"b",
        "pkg/__init__.py": b"",
        "pkg/a.py": b"A = 1",
        "lib/z.py": b"",
        "kept.zip": archive,
    }


LATIN = f"# coding: latin-1\n# größe\n{TEXT}"
LATIN_BYTES = LATIN.encode("latin-1")
NOTEBOOK = json.dumps({"cells": [{"cell_type": "code", "source": TEXT}]})


@pytest.mark.parametrize(
    ("source", "objects", "maps", "content"),
    [
        ({"inline": TEXT}, {}, {}, TEXT.encode()),
        (
            {"uri": "s3://bucket/m.py"},
            {"m.py": LATIN_BYTES},
            {},
            LATIN_BYTES,
        ),
        ({"uri": "s3://bucket/m.ipynb"}, {"m.ipynb": NOTEBOOK.encode()}, {}, TEXT.encode()),
        (
            {"configMapRef": {"name": "m"}},
            {},
            {"m": {"data": {"model_def.py": TEXT}}},
            TEXT.encode(),
        ),
        (
            {"configMapRef": {"name": "m"}},
            {},
            {"m": {"binaryData": {"model_def.py": base64.b64encode(LATIN_BYTES).decode()}}},
            LATIN_BYTES,
        ),
    ],
)
def test_the_model_file_is_taken_verbatim_from_where_it_is(source, objects, maps, content):
    found = read(source=source, objects=objects, maps=maps)
    assert found.source.content == content.rstrip(b"\n") + b"\n"
    assert "class Net" in found.source.text


def test_a_missing_config_map_or_key_says_how_to_create_it():
    ref = {"path": "a.txt", "configMapKeyRef": {"name": "m", "key": "k.txt"}}
    message = refused([ref])
    assert "ConfigMap team/m does not exist" in message
    assert "kubectl -n team create configmap m --from-file=k.txt=k.txt" in message
    assert "has no key k.txt" in refused([ref], maps={"m": {"data": {}}})
    assert "has no key k.txt" in refused([ref], maps={"m": {"binaryData": {"k.txt": "?"}}})


def test_an_undecodable_model_file_is_refused():
    message = refused(source={"uri": "s3://bucket/m.py"}, objects={"m.py": b"x = 1\n\xff\n\xff"})
    assert "spec.model.source.uri: is not UTF-8 text" in message


def test_faults_of_all_files_come_together():
    message = refused(
        files=[
            {"path": "data", "uri": "s3://bucket/empty/"},
            {"path": "code", "uri": "s3://bucket/bad.zip"},
            {"path": "lib", "uri": "s3://bucket/evil.zip"},
        ],
        objects={"bad.zip": b"no archive", "evil.zip": zipped({"../../x.py": b""})},
    )
    assert "spec.model.files[0]: s3://bucket/empty/: holds no object" in message
    assert "spec.model.files[1]: s3://bucket/bad.zip: cannot be unpacked" in message
    assert "lib/../../x.py: leaves the folder by `..`" in message


def test_sizes_are_checked_before_anything_is_fetched(monkeypatch):
    limits = FileLimits(max_files=2, max_file_bytes=10, max_total_bytes=15)
    monkeypatch.setattr(model_files, "DEFAULT_LIMITS", limits)
    objects = {"a": bytes(11), "p/a": bytes(8), "p/b": bytes(8), "q/1": b"", "q/2": b"", "q/3": b""}
    large = refused([{"path": "a", "uri": "s3://bucket/a"}], objects=objects)
    total = refused([{"path": "p", "uri": "s3://bucket/p/"}], objects=objects)
    many = refused([{"path": "q", "uri": "s3://bucket/q/"}], objects=objects)
    assert "s3://bucket/a: has 11 bytes; at most 10 are allowed" in large
    assert "holds more than 15 bytes or 2 files" in total
    assert "holds more than 15 bytes or 2 files" in many


def test_a_folder_of_code_may_hold_the_model_file_too():
    """The whole folder is uploaded as it is, which `--model-file DIR` takes as well."""
    source = {"uri": "s3://bucket/net/model_def.py"}
    files = [{"path": ".", "uri": "s3://bucket/net/"}]
    objects = {"net/model_def.py": TEXT.encode(), "net/helpers.py": b"ONE = 1\n"}
    assert read(files, source, objects).files == {"helpers.py": b"ONE = 1\n"}
    other = refused(files, {"inline": TEXT + "# other\n"}, objects)
    assert "hold a model_def.py that differs from spec.model.source" in other


ROOT = "jobs/team/digits/model/"


def announced(content, **more):
    return {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), **more}


def test_uploaded_files_are_read_from_the_jobs_own_prefix():
    binary = b"\xff\x00"
    found = read(
        [{"path": "helpers.py", "text": "ONE = 1"}],
        {"upload": announced(LATIN_BYTES)},
        {
            f"{ROOT}model_def.py": LATIN_BYTES,
            f"{ROOT}files/pkg/table.bin": binary,
            f"{ROOT}files/empty.txt": b"",
        },
        upload={
            "files": [announced(binary, path="pkg/table.bin"), announced(b"", path="empty.txt")]
        },
    )
    assert found.source.content == LATIN_BYTES
    assert found.source.text == LATIN
    assert found.files == {"helpers.py": b"ONE = 1", "pkg/table.bin": binary, "empty.txt": b""}


def test_uploaded_file_with_other_bytes_is_refused():
    message = refused(
        objects={f"{ROOT}files/a.bin": b"replaced"},
        upload={"files": [announced(b"original", path="a.bin")]},
        reason=Reason.CHECKSUM_MISMATCH,
    )
    found = announced(b"replaced")["sha256"]
    assert f"s3://bucket/{ROOT}files/a.bin: has SHA-256 {found}" in message
    assert "submit it again" in message
    source = refused(
        source={"upload": announced(b"original")},
        objects={f"{ROOT}model_def.py": b"replaced"},
        reason=Reason.CHECKSUM_MISMATCH,
    )
    assert f"{ROOT}model_def.py: has SHA-256" in source


def test_uploaded_files_beyond_the_total_are_refused_unread():
    large = {"sha256": "0" * 64, "size": 16 << 20}
    upload = {"files": [{**large, "path": f"{n}.bin"} for n in range(3)]}
    assert "spec.model.upload.files: hold 50331648 bytes" in refused(upload=upload)
