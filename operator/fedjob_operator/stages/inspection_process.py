"""The process that inspects shards: it has hostile bytes, a memory limit, and nothing else.

It has no keys, opens no connection, and gets the shard's bytes from the operator by ranges (see
`inspection`). Frames in both directions are a length of four bytes and so many bytes: JSON for
requests and results, and raw bytes for what was read. It imports neither boto3 nor pydantic, which
would cost 0.5 s and 40 MB for each job.
"""

from __future__ import annotations

import io
import json
import resource
import struct
import sys
from dataclasses import asdict
from typing import Any, BinaryIO, cast

from fedjob.errors import InvalidInputError
from fedjob.storage.seekable import SizedFile
from fedjob.workspace.shard.archive import ShardInfo, ShardLimits, inspect_shard

LIMITS = ShardLimits(max_files=100_000, max_directory_bytes=32 << 20)
"""What the operator inspects; a shard of these sizes takes 140 MiB."""
PIECE = 1 << 20
"""Bytes that are asked for at once, at most."""
EXIT_MEMORY = 70
"""The memory limit is reached: what is left of the process cannot be relied on."""
_LENGTH = struct.Struct(">I")


class ClosedPipeError(Exception):
    """The other side is gone."""


def send(pipe: BinaryIO, data: bytes) -> None:
    """Writes a frame."""
    pipe.write(_LENGTH.pack(len(data)))
    pipe.write(data)
    pipe.flush()


def receive(pipe: BinaryIO, limit: int) -> bytes:
    """Reads a frame.

    Raises:
        ClosedPipeError: The other side is gone, or announces more than `limit` bytes.
    """
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise ClosedPipeError("no further frame")
    (length,) = _LENGTH.unpack(head)
    if length > limit:
        raise ClosedPipeError(f"a frame of {length} bytes, at most {limit} are allowed")
    data = pipe.read(length)
    if len(data) < length:
        raise ClosedPipeError("a frame that is cut off")
    return data


class _RemoteFile(SizedFile):
    """The shard, of which each read is asked from the operator."""

    def __init__(self, source: BinaryIO, sink: BinaryIO, size: int) -> None:
        super().__init__(size)
        self._source, self._sink = source, sink

    def readinto(self, buffer: Any) -> int:
        length = min(len(buffer), PIECE, max(0, self._size - self._position))
        if length == 0:
            return 0
        send(self._sink, json.dumps({"read": [self._position, length]}).encode())
        data = receive(self._source, length)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def inspect(request: dict[str, Any], source: BinaryIO, sink: BinaryIO) -> dict[str, Any]:
    """The answer to a request: what the shard holds, or why it cannot be used."""
    remote = _RemoteFile(source, sink, request["size"])
    try:
        with io.BufferedReader(remote, 1 << 16) as file:
            info = inspect_shard(
                cast(BinaryIO, file),
                request["name"],
                request["manifest_file"],
                LIMITS,
                needs_manifest=request["needs_manifest"],
            )
    except InvalidInputError as error:
        faults = [asdict(fault) for fault in error.faults]
        return {"reason": str(error.reason), "faults": faults}
    return {"info": encoded(info)}


def encoded(info: ShardInfo) -> dict[str, Any]:
    """A result as JSON; `inspection.decoded` reads it."""
    found = asdict(info)
    if info.manifest is not None:
        # JSON has no numbers as keys.
        found["manifest"]["labels"] = list(info.manifest.labels.items())
    return found


def main() -> int:
    """Answers requests until the operator closes the pipe; the arguments are the limits."""
    memory_bytes, cpu_seconds = (int(text) for text in sys.argv[1:])
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while True:
        try:
            request = json.loads(receive(source, PIECE))
        except ClosedPipeError:
            return 0
        used = resource.getrusage(resource.RUSAGE_SELF)
        seconds = int(used.ru_utime + used.ru_stime) + cpu_seconds
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.RLIM_INFINITY))
        try:
            answer = inspect(request, source, sink)
        except ClosedPipeError:
            return 0
        except MemoryError:
            return EXIT_MEMORY
        send(sink, json.dumps(answer).encode())


if __name__ == "__main__":
    sys.exit(main())
