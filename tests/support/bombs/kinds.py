"""The kinds of hostile input, each with the real code that takes it.

A kind yields a name and a call for each input. The input is made before the call, so that what its
making takes is not measured; a call returns or raises as the code does.
"""

from __future__ import annotations

import gzip
import io
import json
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from support.bombs.hostile_server import endless, hostile_server
from support.bombs.zips import ENTRY, MANIFEST, MIB, deflated, directory_only, end_of, packed

Call = Callable[[], object]
Inputs = Iterator[tuple[str, Call]]


def shard_zips() -> Inputs:
    """Operator: shards, in what its inspection process calls."""
    from fedjob.workspace.shard.archive import inspect_shard
    from fedjob_operator.stages.inspection_process import LIMITS

    def look(data: bytes) -> Call:
        return lambda: inspect_shard(io.BytesIO(data), "a.zip", limits=LIMITS)

    for count in (1, 1000, 65_535, 65_536, 100_000, 100_001, 400_000):
        for name_bytes in (8, 60, 250):
            yield (
                f"{count} entries of {name_bytes} bytes",
                look(directory_only(count, name_bytes)),
            )
    for method in range(0, 100, 4):
        entry = bytearray(directory_only(1))
        struct.pack_into("<H", entry, 10, method)
        yield f"method {method}", look(bytes(entry))
    for size in (MIB, 64 * MIB, 200 * MIB):
        for byte in (b"\n", b"x", b"["):
            data = packed(**{MANIFEST: byte * size}) if size < 65 * MIB else deflated(byte, size)
            yield f"manifest of {size} times {byte!r}", look(data)
    for extra in (100, 60_000):
        header = ENTRY.pack(*(b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 1, 1, 1, extra, 0, 0, 0, 0, 0))
        body = (header + b"a" + b"\0" * extra) * (20 * MIB // (extra + 47))
        count = body.count(b"PK\x01\x02")
        yield f"extra fields of {extra} bytes", look(body + end_of(count, len(body), 0))
    for claimed in (0, 1, 2**31, 2**32 - 1):
        yield f"directory of {claimed} claimed bytes", look(end_of(3, claimed, 0) + b"\0" * 100)
    for cut in (1, 10, 30, 60, 90):
        whole = packed(a=b"x", b=b"y")
        yield f"cut off after {cut} bytes", look(whole[:cut])


def unpacked_shards() -> Inputs:
    """Worker: shards that are unpacked to its disk."""
    from fedjob.workspace.shard.archive import ShardLimits, unpack_shard

    limits = ShardLimits(max_bytes=256 * MIB)
    folder = Path(tempfile.mkdtemp(prefix="bombs-"))

    def unpack(data: bytes) -> Call:
        path = folder / "a.zip"
        path.write_bytes(data)
        return lambda: unpack_shard(path, folder / "out", limits, None)

    for size in (MIB, 16 * MIB, 64 * MIB, 300 * MIB):
        yield f"{size} bytes of zeros", unpack(deflated(b"\0", size))
    for count in (10, 1000, 20_000):
        yield f"{count} entries over one another", unpack(directory_only(count))
    for method in (1, 6, 8, 9, 12, 14, 93, 95, 98):
        entry = bytearray(packed(a=b"x" * 100))
        start = entry.index(b"PK\x01\x02")
        struct.pack_into("<H", entry, start + 10, method)
        yield f"method {method}", unpack(bytes(entry))


def manifest_lines() -> Inputs:
    """Operator and worker: lines of a manifest."""
    from fedjob.workspace.shard.manifest import read_lines, scan_manifest

    def scan(data: bytes) -> Call:
        return lambda: scan_manifest(read_lines(io.BytesIO(data)), "a.zip: m")

    line = b'{"id": "%d", "uri": "%d.png", "y": %d}\n'
    values = {
        "nested lists": b"[" * 100_000,
        "nested objects": b'{"a":' * 50_000,
        "large number": b"9" * 1_000_000,
        "large exponent": b"1e999999999",
        "NaN": b"NaN",
        "numbers": b"[" + b"1," * 400_000 + b"1]",
        "floats": b"[" + b"0.5," * 200_000 + b"0.5]",
        "lists": b"[" + b"[]," * 300_000 + b"[]]",
        "objects": b"[" + b"{}," * 300_000 + b"{}]",
        "long text": b'"' + b"x" * 1_000_000 + b'"',
        "surrogates": b'"' + b"\\ud800" * 150_000 + b'"',
        "keys": b"{" + b",".join(b'"%d":0' % n for n in range(90_000)) + b"}",
        "null": b"null",
        "negative": b"-1",
    }
    for name, value in values.items():
        for field in (b"id", b"uri", b"y", b"meta"):
            parts = {b"id": b'"1"', b"uri": b'"a"', b"y": b"1"} | {field: value}
            text = b", ".join(b'"%s": %s' % pair for pair in parts.items())
            yield f"{name} as {field.decode()}", scan(b"{" + text + b"}\n")
    yield "200,000 labels", scan(b"".join(line % (n, n, n) for n in range(200_000)))
    yield "one id 200,000 times", scan(line % (1, 1, 1) * 200_000)
    yield "a line of 64 MiB", scan(b"x" * (64 * MIB))
    yield "a million blank lines", scan(b"\n" * MIB)
    yield "a million faults", scan(b"x\n" * MIB)


def author_files() -> Inputs:
    """Operator: archives of the author's files."""
    from fedjob.workspace.files.archive import unpack_files

    def unpack(data: bytes, name: str) -> Call:
        return lambda: unpack_files(data, name)

    for size in (MIB, 17 * MIB, 64 * MIB, 256 * MIB):
        yield f"ZIP of {size} bytes", unpack(deflated(b"\0", size), "a.zip")
        yield f"gzip of {size} zeros", unpack(gzipped(size), "a.tar.gz")
    for count in (1999, 4000, 4001, 200_000):
        yield f"ZIP of {count} entries", unpack(directory_only(count), "a.zip")
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, b"S", b"x"):
        yield f"tar with type {kind!r}", unpack(tar_of(kind, 8 << 30), "a.tgz")
    for method in (12, 14, 93):
        entry = bytearray(packed(a=b"x" * 100))
        struct.pack_into("<H", entry, entry.index(b"PK\x01\x02") + 10, method)
        yield f"ZIP with method {method}", unpack(bytes(entry), "a.zip")


def gzipped(size: int) -> bytes:
    """A gzip file of zeros."""
    data = io.BytesIO()
    with gzip.GzipFile(fileobj=data, mode="wb", compresslevel=1) as file:
        for _ in range(size // MIB):
            file.write(b"\0" * MIB)
    return data.getvalue()


def tar_of(kind: bytes, size: int) -> bytes:
    """A .tgz with the header of one member, which claims `size` bytes."""
    info = tarfile.TarInfo("a")
    info.type, info.size, info.linkname = kind, size, "/etc/passwd"
    return gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + b"\0" * 1024)


def model_sources() -> Inputs:
    """Operator: the author's model file, which is parsed in a process of its own."""
    from fedjob_operator.stages.model_files import MOST_SOURCE
    from fedjob_operator.stages.source_check import check_source

    def check(text: str) -> Call:
        return lambda: check_source(
            text, {}, class_name="Net", train_function=None, requirements=[]
        )

    pieces = {
        "names": "x=1;", "calls": "f(1);", "tuple": "a,", "sum": "1+", "lists": "[],",
        "strings": "'x',", "lambdas": "lambda:0,", "imports": "import a\n", "lines": "\n",
        "classes": "class A:0\n", "nested lists": "[", "nested calls": "f(", "nots": "not ",
        "minus": "-", "comments": "#\n", "f-strings": "f'{1}',", "attributes": "a.", "dicts": "{},",
        "decorators": "@a\n", "comparisons": "1<", "keywords": "a=1,", "null": "\0",
    }  # fmt: skip
    for name, piece in pieces.items():
        yield name, check(piece * (MOST_SOURCE // len(piece)))


def registry_documents() -> Inputs:
    """Operator: manifests and configs of a registry."""
    from fedjob_operator.image.bounded_content import MAX_DOCUMENT
    from fedjob_operator.image.layer import make_layer
    from fedjob_operator.image.manifests import (
        OCI_MANIFEST,
        Document,
        ImageDocuments,
        append_to,
        read_document,
    )

    layer = make_layer({"a": b"x"})

    def read(manifest: bytes, config: bytes = b"{}") -> Call:
        def call() -> object:
            read_document(manifest, OCI_MANIFEST, "r.test/a")
            base = ImageDocuments(config=config, manifest=Document(OCI_MANIFEST, manifest))
            return append_to(base, layer, "r.test/a")

        return call

    def filled(piece: str, around: str = '{"layers":[%s{}]}') -> bytes:
        return (around % (piece * ((MAX_DOCUMENT - 100) // len(piece)))).encode()

    for piece in ("{},", "[],", "0,", '"",', "null,", '{"digest":"a"},', "1e9,", '"\\ud800",'):
        yield f"layers of {piece}", read(filled(piece))
        yield (
            f"config of {piece}",
            read(
                b'{"layers":[],"config":{"mediaType":"x"}}',
                filled(piece, '{"rootfs":{"diff_ids":[%s0]}}'),
            ),
        )
        yield (
            f"history of {piece}",
            read(
                b'{"layers":[],"config":{"mediaType":"x"}}',
                filled(piece, '{"rootfs":{"diff_ids":[]},"history":[%s0]}'),
            ),
        )
    for text in ("[" * MAX_DOCUMENT, '{"a":' * 800_000, "9" * MAX_DOCUMENT, '"' * MAX_DOCUMENT):
        yield f"a document of {text[:5]}", read(text.encode(), text.encode())
    for document in (b"", b"null", b"[]", b"{}", b"\xff\xfe", b'{"schemaVersion":1}'):
        yield f"a document {document!r}", read(document, document)


def registry_answers() -> Inputs:
    """Operator: answers of a registry, over HTTP."""
    from fedjob_operator.image.reference import Reference
    from fedjob_operator.image.registry_client import Repository
    from fedjob_operator.image.registry_connection import Access

    def get(headers: dict[str, str], piece: bytes, status: int, what: str) -> Call:
        def call() -> object:
            with (
                hostile_server(lambda *_: (status, headers, endless(piece, 64 * MIB))) as url,
                Repository(
                    Reference.parse(url.removeprefix("http://") + "/a", "base"),
                    Access(insecure=True),
                ) as repository,
            ):
                if what == "manifest":
                    return repository.manifest("1")
                return repository.blob("sha256:" + "0" * 64)

        return call

    zeros = gzip.compress(b"\0" * (16 * MIB))
    for what in ("manifest", "blob"):
        for status in (200, 400, 401, 403, 404):
            yield f"{what}, {status} without an end", get({}, b"x" * 65536, status, what)
        packed_headers = {"Content-Encoding": "gzip", "Content-Length": str(len(zeros))}
        yield f"{what} of packed zeros", get(packed_headers, zeros, 200, what)


def store_answers() -> Inputs:
    """Operator and supervisor: answers of an S3 store, over HTTP."""
    from fedjob.protocol.config import StoreLocation
    from fedjob.storage.bucket import Bucket
    from fedjob.storage.client import MOST_ANSWER
    from fedjob.storage.credentials import Credentials
    from fedjob.storage.layout import Layout
    from fedjob.storage.patience import Patience
    from fedjob.storage.rounds import RoundLog

    tag = {"ETag": '"1"', "Last-Modified": "Thu, 26 Nov 2026 20:00:00 GMT"}

    def ask(act: Callable[[Any], object], *pieces: bytes, status: int, whole: bool) -> Call:
        body = b"".join(pieces)
        headers = {**tag, "Content-Length": str(len(body))} if whole else tag

        def answer(method: str, _path: str) -> Any:
            if method == "HEAD":
                return 200, {**tag, "Content-Length": str(1 << 40)}, ()
            return status, headers, [body] if whole else endless(body, 64 * MIB)

        def call() -> object:
            with hostile_server(answer) as url:
                location = StoreLocation(endpoint=url, bucket="jobs")
                with Bucket(location, Credentials("k", "s"), attempts=1) as bucket:
                    return act(bucket)

        return call

    layout = Layout("team", "digits")
    acts: dict[str, Callable[[Any], object]] = {
        "list": lambda bucket: list(bucket.list("p/")),
        "uploads": lambda bucket: list(bucket.client_uploads().open("p/")),
        "get": lambda bucket: bucket.get_bytes("k"),
        "put": lambda bucket: bucket.put_bytes("k", b""),
        "commit": lambda bucket: RoundLog(bucket, layout, Patience(seconds=0)).read(1),
    }
    for name, act in acts.items():
        for status in (200, 403):
            yield (
                f"{name}, {status} without an end",
                ask(act, b"<a>x</a>" * 8192, status=status, whole=False),
            )
    entities = b"<!DOCTYPE a [<!ENTITY a0 'xxxxxxxxxx'>" + b"".join(
        b"<!ENTITY a%d '%s'>" % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 10)
    )
    fill = MOST_ANSWER - 100
    texts = {
        "a billion laughs": entities + b"]><a>&a9;</a>",
        "nested elements": b"<a>" * (fill // 3),
        "many elements": b"<r>" + b"<a/>" * (fill // 4) + b"</r>",
        "attributes": b"<a " + b" ".join(b"a%d=''" % n for n in range(300_000)) + b"/>",
        "objects": b"<r>" + b"<Contents/>" * (fill // 11) + b"</r>",
    }
    for name, text in texts.items():
        for act_name in ("list", "uploads", "put"):
            for status in (200, 400):
                yield (
                    f"{act_name}, {status}: {name}",
                    ask(acts[act_name], text, status=status, whole=True),
                )
    commits = {"lists": b"[],", "objects": b"{},", "texts": b'"",', "numbers": b"0,"}
    for name, piece in commits.items():
        body = b'{"round":1,"participants":[' + piece * (8 * MIB // len(piece) - 20) + b"0]}"
        yield f"commit of {name}", ask(acts["commit"], body, status=200, whole=True)


def round_logs() -> Inputs:
    """Operator and supervisor: a log of many rounds."""
    from fedjob.storage.layout import Layout
    from fedjob.storage.objects import ObjectInfo
    from fedjob.storage.rounds import RoundLog

    layout = Layout("team", "digits")

    class Listed:
        def __init__(self, count: int) -> None:
            self.count = count

        def list(self, _prefix: str) -> Iterator[ObjectInfo]:
            for number in range(self.count):
                yield ObjectInfo(layout.commit(number), 1, '"1"')

        def uri(self, key: str) -> str:
            return key

        def close(self) -> None:
            return

    for count in (0, 1, 1000, 100_000, 500_000):
        log: Any = RoundLog(Listed(count), layout)  # type: ignore[arg-type]
        yield f"{count} commits", log.commits
        yield f"attempts among {count} commits", log.latest_attempt


def server_statuses() -> Inputs:
    """Operator: statuses of a server pod, which runs the author's image."""
    from fedjob.protocol import status_poll
    from fedjob_operator.controller.status_poller import MAX_STATUS

    def parse(text: bytes) -> Call:
        return lambda: status_poll.parse(text)

    head = b'{"attempt":1,"phase":"Training","completed":1,"total":2,'
    for field in (b"history", b"clients", b"events", b"warnings", b"retries", b"unknown"):
        for piece in (b"{},", b"[],", b'"",', b"0,", b"null,"):
            body = head + b'"%s":[' % field + piece * ((MAX_STATUS - 200) // len(piece))
            yield f"{field.decode()} of {piece.decode()}", parse(body + b"0]}")
    for text in (
        b"[" * MAX_STATUS,
        b'{"a":' * 800_000,
        b"9" * MAX_STATUS,
        b'"' + b"x" * MAX_STATUS,
    ):
        yield f"a status of {text[:5]!r}", parse(text)


def images() -> Inputs:
    """Worker: image files of a shard or of the internet."""
    from PIL import Image

    from fedjob_runtime.training.data.pixels import MAX_PIXELS, decode

    def png(width: int, height: int, *, depth: int = 8, rows: int = 0, extra: bytes = b"") -> bytes:
        def chunk(kind: bytes, data: bytes) -> bytes:
            crc = struct.pack(">I", zlib.crc32(kind + data))
            return struct.pack(">I", len(data)) + kind + data + crc

        head = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
        body = zlib.compress((b"\0" * (1 + width * 3 * depth // 8)) * rows, 1)
        return (
            b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + chunk(b"IDAT", body)
            + chunk(b"IEND", b"")
        )  # fmt: skip

    def look(data: bytes) -> Call:
        return lambda: decode(data, "a.png")

    for side in (1, 100, 1000, 8000, 8001, 30_000, 65_535, 2**31 - 1):
        yield f"PNG of {side} x {side}, without pixels", look(png(side, side))
        yield f"PNG of {side} x 1", look(png(side, 1))
    yield "PNG of the most pixels", look(png(8000, MAX_PIXELS // 8000, rows=8000))
    zeros = zlib.compress(b"\0" * (64 * MIB), 9)
    for kind, start in ((b"zTXt", b"a\0\0"), (b"iTXt", b"a\0\1\0\0\0"), (b"iCCP", b"a\0\0")):
        text = start + zeros
        crc = struct.pack(">I", zlib.crc32(kind + text))
        extra = (struct.pack(">I", len(text)) + kind + text + crc) * 4
        yield f"PNG with {kind.decode()} of 64 MiB", look(png(1, 1, rows=1, extra=extra))
    for kind in ("JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"):
        data = io.BytesIO()
        Image.new("RGB", (16, 16)).save(data, kind)
        whole = bytearray(data.getvalue())
        yield f"{kind}, whole", look(bytes(whole))
        for at in range(2, min(len(whole), 60), 7):
            broken = whole.copy()
            broken[at : at + 4] = b"\xff\xff\xff\x7f"
            yield f"{kind} with large numbers at {at}", look(bytes(broken))
        yield f"{kind}, cut off", look(bytes(whole[: len(whole) // 2]))


def worker_metrics() -> Inputs:
    """Server's job process: metrics of a worker's own executor."""
    from fedjob_runtime.server.job_process.round_results import own_metrics

    def clean(value: object) -> Call:
        return lambda: own_metrics(value)

    deep: Any = 1.0
    for _ in range(100_000):
        deep = [deep]
    yield "nested lists", clean({"a": deep})
    for count in (1, 100, 101, 10_000, 500_000):
        yield f"{count} names", clean({f"m{n}": 1.0 for n in range(count)})
        yield f"a name of {count} characters", clean({"m" * count: 1.0})
        yield f"{count} values that are none", clean({f"m{n}": "x" for n in range(count)})
    for value in (float("nan"), float("inf"), 10**400, -(10**5000), None, "x" * MIB, [1.0] * MIB):
        yield f"a value of type {type(value).__name__}", clean({"a": value})
    for other in (None, 1, "x", [1, 2], {1: 2}, {None: 1.0}, {("a",): 1.0}, {b"x": 1.0}):
        yield f"metrics {other!r}", clean(other)


def worker_answers() -> Inputs:
    """Server's job process: tensors and arrays of a worker's answer."""
    import numpy as np
    import torch
    from safetensors.torch import save

    from fedjob_runtime.server.job_process.bounded_download import BoundedArrays, BoundedTensors

    limit = 4 * MIB

    def consume(consumer_type: Any, *items: bytes) -> Call:
        def call() -> object:
            consumer = consumer_type()
            consumer.begin({}, limit)
            return consumer.consume_items(list(items), None)

        return call

    def npz(count: int, dtype: str = "f8") -> bytes:
        data = io.BytesIO()
        np.savez_compressed(data, t=np.zeros(count, dtype))
        return data.getvalue()

    def header(text: str) -> bytes:
        return struct.pack("<Q", len(text)) + text.encode()

    for count in (10, 500_000, 5_000_000, 20_000_000):
        yield f"array of {count} zeros", consume(BoundedArrays, npz(count))
    for count in (10, 1_000_000, 2_000_000):
        yield f"tensor of {count} zeros", consume(BoundedTensors, save({"t": torch.zeros(count)}))
    yield "many arrays", consume(BoundedArrays, *[npz(100_000)] * 50)
    for shape in ("[1099511627776]", "[65536,65536,65536]", "[-1]", "[]", "[0]"):
        text = f'{{"t":{{"dtype":"F32","shape":{shape},"data_offsets":[0,4]}}}}'
        yield f"tensor of shape {shape}", consume(BoundedTensors, header(text) + b"\0" * 4)
    for text in ("", "{}", "[" * MIB, '{"a":' * 200_000, "9" * MIB):
        yield f"header {text[:5]}", consume(BoundedTensors, header(text))
    yield "header of 2^63 bytes", consume(BoundedTensors, struct.pack("<Q", 2**63))
    for method in (12, 14):
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w", method) as archive:
            archive.writestr("t.npy", b"\0" * (64 * MIB))
        yield f"array packed by method {method}", consume(BoundedArrays, data.getvalue())
    for claimed in ("(1099511627776,)", "(1,)", "(-1,)", "()"):
        text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {claimed}, }}\n"
        npy = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()
        yield f"array of claimed shape {claimed}", consume(BoundedArrays, packed(**{"t.npy": npy}))
    yield (
        "array of objects",
        consume(
            BoundedArrays,
            packed(**{"t.npy": b"\x93NUMPY\x01\x00\x36\x00{'descr': '|O', 'shape': (1,)}"}),
        ),
    )
    yield "no ZIP", consume(BoundedArrays, json.dumps({"a": 1}).encode())
