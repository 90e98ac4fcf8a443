"""Random input for the readers of hostile files: they refuse by name, or read.

`make fuzz` runs each for FUZZ_SECONDS; without it, a few examples in seconds.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import struct
import time
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from fedjob.errors import FedjobError
from fedjob.workspace.shard.archive import ShardLimits, inspect_shard
from fedjob.workspace.shard.manifest_line import parse_lines
from fedjob_operator.image.layer import make_layer
from fedjob_operator.image.manifests import (
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    Document,
    ImageDocuments,
    Platform,
    append_to,
    config_digest,
    diff_ids,
    layer_descriptors,
    platform_digest,
    read_document,
)
from fedjob_runtime.server.job_process.bounded_download import BoundedArrays, BoundedTensors
from support.bombs.zips import directory_only, packed

SECONDS = float(os.environ.get("FUZZ_SECONDS", "0"))
LAYER = make_layer({"a": b"x"})
LIMITS = ShardLimits(max_files=1000, max_directory_bytes=1 << 20, max_manifest_bytes=1 << 20)

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.just(10**400)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=12,
)
SEEDS = [packed(a=b"x"), packed(**{"manifest.ndjson": b'{"id":"1","uri":"a","y":1}', "a": b"x"}),
         directory_only(3)]  # fmt: skip


def keyed(*names: str) -> st.SearchStrategy[dict[str, object]]:
    """Objects with some of these names, each with any value."""
    return st.fixed_dictionaries({}, optional=dict.fromkeys(names, VALUES))


@st.composite
def damaged(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """A file with some bytes replaced, removed or inserted."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        piece = draw(st.binary(max_size=8) | st.sampled_from([b"\xff" * 4, b"\0" * 4, b"PK\1\2"]))
        data[at : at + draw(st.integers(0, 8))] = piece
    return bytes(data)


LINES = st.lists(
    st.binary(max_size=60)
    | keyed("id", "uri", "y", "meta", "label").map(lambda value: json.dumps(value).encode())
    | VALUES.map(lambda value: json.dumps(value).encode()),
    max_size=5,
)
DESCRIPTORS = (
    st.lists(keyed("digest", "size", "mediaType", "platform", "urls"), max_size=3) | VALUES
)
MANIFESTS = st.one_of(
    VALUES,
    st.fixed_dictionaries(
        {},
        optional={
            "mediaType": st.sampled_from([OCI_MANIFEST, DOCKER_MANIFEST, OCI_INDEX]) | VALUES,
            "config": keyed("digest", "mediaType", "size") | VALUES,
            "layers": DESCRIPTORS,
            "manifests": DESCRIPTORS,
            "annotations": VALUES,
        },
    ),
)
CONFIGS = st.one_of(
    VALUES,
    st.fixed_dictionaries(
        {},
        optional={
            "rootfs": keyed("diff_ids", "type") | VALUES,
            "config": keyed("Labels") | VALUES,
            "history": VALUES,
            "created": VALUES,
        },
    ),
)


def read_lines_of(lines: list[bytes]) -> None:
    list(parse_lines(lines, "a.zip: m"))


def read_zip(data: bytes) -> None:
    inspect_shard(io.BytesIO(data), "a.zip", limits=LIMITS, needs_manifest=False)


def read_image(documents: tuple[object, object]) -> None:
    manifest, config = (json.dumps(each).encode() for each in documents)
    for call in (
        lambda: read_document(manifest, OCI_MANIFEST, "r"),
        lambda: platform_digest(Document(OCI_INDEX, manifest), Platform("linux", "amd64"), "r"),
        lambda: config_digest(Document(OCI_MANIFEST, manifest), "r"),
        lambda: layer_descriptors(Document(OCI_MANIFEST, manifest), "r"),
        lambda: diff_ids(config, "r"),
        lambda: append_to(ImageDocuments(config, Document(OCI_MANIFEST, manifest)), LAYER, "r"),
    ):
        try:
            call()
        except FedjobError:
            continue


def receive(items: tuple[bytes, bool]) -> None:
    data, arrays = items
    consumer = BoundedArrays() if arrays else BoundedTensors()
    consumer.begin({}, 1 << 20)
    try:
        consumer.consume_items([data], None)
    except FedjobError:
        raise
    except MemoryError:
        raise AssertionError("more than the limit was asked for") from None
    except Exception:  # noqa: BLE001 (result_receiver takes every error for a bad answer)
        return


NPY = b"\x93NUMPY\x01\x00\x46\x00{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }".ljust(
    80
)
HEADER = b'{"t":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
ANSWERS = damaged([packed(**{"t.npy": NPY + b"\0" * 8}), packed(**{"t.npy": NPY})]).map(
    lambda data: (data, True)
) | damaged([struct.pack("<Q", len(HEADER)) + HEADER + b"\0" * 4]).map(lambda data: (data, False))


@pytest.mark.parametrize(
    ("reader", "inputs"),
    [
        (read_lines_of, LINES),
        (read_zip, damaged(SEEDS)),
        (read_image, st.tuples(MANIFESTS, CONFIGS)),
        (receive, ANSWERS),
    ],
    ids=["manifest lines", "ZIP directory", "OCI manifest", "answers"],
)
def test_reader_refuses_by_name_or_reads(
    reader: Callable[[object], None], inputs: st.SearchStrategy[object]
) -> None:
    until, count = time.monotonic() + SECONDS, 0

    @settings(
        max_examples=2000 if SECONDS else 300,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
        database=None,
    )
    @given(inputs)
    def once(value: object) -> None:
        nonlocal count
        count += 1
        with contextlib.suppress(FedjobError):
            reader(value)

    once()
    while time.monotonic() < until:
        once()
    if SECONDS:
        print(f"{count} inputs")
