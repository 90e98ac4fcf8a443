"""Shard ZIPs, good and bad, inspected and unpacked."""

import io
import json
import stat
import struct
import zipfile

from hypothesis import strategies as st

from fedjob.workspace.shard.archive import (
    inspect_shard,
    unpack_shard,
)

PNG = b"\x89PNG fake"


ONE = json.dumps({"id": "a", "uri": "images/a.png", "y": 1}).encode() + b"\n"


GOOD = {"manifest.ndjson": ONE, "images/a.png": PNG}


def zipped(entries, compression=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for item in entries.items() if isinstance(entries, dict) else entries:
            archive.writestr(*item)
    return buffer.getvalue()


def entry(name, mode=stat.S_IFREG | 0o644):
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = mode << 16
    return info


def inspected(data, **options):
    return inspect_shard(io.BytesIO(data), "shard-1.zip", **options)


def unpacked(data, tmp_path, **options):
    path = tmp_path / "shard-1.zip"
    path.write_bytes(data)
    dest = tmp_path / "home" / "shard"
    return unpack_shard(path, dest, **options), dest


def files_below(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def with_flag(data, flag):
    """The ZIP with a general purpose flag set in every central directory entry."""
    raw, at = bytearray(data), 0
    while (at := raw.find(b"PK\x01\x02", at)) >= 0:
        raw[at + 8 : at + 10] = struct.pack("<H", struct.unpack_from("<H", raw, at + 8)[0] | flag)
        at += 4
    return bytes(raw)


NAMES = st.lists(
    st.sampled_from(["..", ".", "", "a", "b.png", "C:", "\\", "~", "\0", "a b", "é", "..."]),
    min_size=1,
    max_size=6,
).map("/".join) | st.text(max_size=40)
