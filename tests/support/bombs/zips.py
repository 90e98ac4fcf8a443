"""ZIPs that claim, or hold, more than a reader should take; made in milliseconds."""

from __future__ import annotations

import io
import struct
import zipfile

MIB = 1 << 20
MANIFEST = "manifest.ndjson"
END = struct.Struct("<4sHHHHIIH")
ENTRY = struct.Struct("<4sHHHHHHIIIHHHHHII")


def directory_only(count: int, name_bytes: int = 16) -> bytes:
    """A ZIP of `count` entries in its directory, and none of their bytes."""
    entries = bytearray()
    for number in range(count):
        name = f"{number:0{name_bytes}d}".encode()
        entries += ENTRY.pack(
            b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 1, 1, len(name), 0, 0, 0, 0, 0, 0
        )
        entries += name
    return bytes(entries) + end_of(count, len(entries), 0)


def end_of(count: int, size: int, offset: int) -> bytes:
    """The end of a directory, with ZIP64 numbers where they are needed."""
    if count < 0xFFFF and size < 0xFFFFFFFF:
        return END.pack(b"PK\x05\x06", 0, 0, count, count, size, offset, 0)
    record = struct.pack(
        "<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, offset
    )
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, offset + size, 1)
    return (
        record + locator + END.pack(b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    )


def packed(method: int = zipfile.ZIP_DEFLATED, **files: bytes) -> bytes:
    """A ZIP of files, named without their ending."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()


def deflated(byte: bytes, size: int) -> bytes:
    """A ZIP of a manifest of `size` bytes, made in pieces."""
    data = io.BytesIO()
    with (
        zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open(MANIFEST, "w") as file,
    ):
        for _ in range(size // MIB):
            file.write(byte * MIB)
    return data.getvalue()
