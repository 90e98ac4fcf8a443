"""The client's private key of a job's transfers: kept, so that a new process reads its offers."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from fedjob.atomic_files import write_bytes
from fedjob.protocol.sealing import KEY_BYTES, new_private_key


def default_folder() -> Path:
    """`$XDG_CACHE_HOME/fedjob/transfers`, or `~/.cache/fedjob/transfers`."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "fedjob" / "transfers"


def private_key(server: str, namespace: str, name: str, folder: Path | None = None) -> bytes:
    """The private key for a job of this name; made and kept when there is none.

    The file can be read by its owner only. Where nothing can be kept (a read-only home), the key
    is for this process: another one asks the operator for an offer of its own.

    Args:
        server: The API server's address.
        namespace: Of the job.
        name: Of the job.
        folder: Where keys are kept.
    """
    folder = folder or default_folder()
    identity = hashlib.sha256(f"{server}\0{namespace}\0{name}".encode()).hexdigest()[:32]
    path = folder / f"{identity}.key"
    try:
        found = path.read_bytes()
        if len(found) == KEY_BYTES:
            return found
    except OSError:
        pass
    made = new_private_key()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_bytes(path, made, private=True)
    except OSError:
        pass
    return made
