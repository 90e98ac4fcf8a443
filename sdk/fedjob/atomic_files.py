"""Files that are replaced in one step: a reader, or a crash, finds the old file or the new one."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path, *, private: bool = False, durable: bool = False) -> Iterator[Path]:
    """An empty file beside `path`, which takes its place when the block ends.

    When the block raises, the new file is deleted and `path` is as it was. Writers of the same
    path in several threads or processes do not disturb each other; the last one to end wins.

    Args:
        path: The file to replace; its folder exists.
        private: Readable by the owner only, from the first byte on.
        durable: Force file and folder to disk first, so that a power cut cannot undo it or leave
            an empty file.

    Examples:
        >>> with replacing(Path("model.pt"), durable=True) as scratch:
        ...     torch.save(weights, scratch)
    """
    # The name does not contain that of `path`, which may be as long as a name can be.
    scratch = path.with_name(f".{secrets.token_hex(8)}.part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    os.close(os.open(scratch, flags, 0o600 if private else 0o666))
    try:
        yield scratch
        if durable:
            sync(scratch)
        scratch.replace(path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    if durable:
        sync(path.parent)


def write_bytes(path: Path, data: bytes, *, private: bool = False, durable: bool = False) -> None:
    """Replace `path` by these bytes; see `replacing`."""
    with replacing(path, private=private, durable=durable) as scratch:
        scratch.write_bytes(data)


def write_text(path: Path, text: str, *, private: bool = False, durable: bool = False) -> None:
    """Replace `path` by this text in UTF-8, line ends as they are; see `replacing`."""
    write_bytes(path, text.encode("utf-8"), private=private, durable=durable)


def is_scratch(name: str) -> bool:
    """Whether a file of this name may be what a crash inside `replacing` has left."""
    return re.fullmatch(r"\.[0-9a-f]{16}\.part", name) is not None


def sync(path: Path) -> None:
    """Force a file, or the entries of a folder, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
