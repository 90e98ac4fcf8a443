"""Checksums of files, read in pieces."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

PIECE = 1024 * 1024
"""Bytes read at a time."""


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_md5(data: bytes) -> str:
    """The Content-MD5 header of a body (RFC 1864): the store refuses bytes that changed."""
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode("ascii")
