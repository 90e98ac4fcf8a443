"""Inspects shards in a subprocess with a memory limit, so that a bad shard fails its own job alone.

The operator reads the store and hands over the ranges that the process asks for. One process serves
all shards of a job in turn; after a shard that it did not survive, another takes the rest
(docs/contributing/decisions/030-shards-are-inspected-in-a-subprocess.md).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from fedjob.errors import Fault, InvalidInputError
from fedjob.reasons import Reason
from fedjob.workspace.shard.archive import ShardInfo
from fedjob.workspace.shard.manifest import ManifestSummary
from fedjob_operator.stage_run import thread_run
from fedjob_operator.stages.errors import InputError, StageError
from fedjob_operator.stages.inspection_process import (
    EXIT_MEMORY,
    PIECE,
    ClosedPipeError,
    receive,
    send,
)

MEMORY_BYTES = 256 << 20
"""Address space of the process."""
CPU_SECONDS = 60
"""CPU time for one shard; 100,000 samples with long names take 3.4 s."""
MOST_ANSWER = 4 << 20
"""Bytes of an answer; one with the largest histogram has some 200 KiB."""
_END_SECONDS = 5.0
"""For the process to end by itself."""
_COMMAND = (sys.executable, "-I", "-m", "fedjob_operator.stages.inspection_process")
_REASONS = {str(reason): reason for reason in Reason}
_SPLIT = "split it into several shards"


class Inspector:
    """Inspects one shard after another; use it as a context.

    Args:
        memory_bytes: Address space of the process.
        cpu_seconds: CPU time for one shard.
    """

    def __init__(self, *, memory_bytes: int = MEMORY_BYTES, cpu_seconds: int = CPU_SECONDS) -> None:
        self._memory_bytes, self._cpu_seconds = memory_bytes, cpu_seconds
        self._stack = contextlib.ExitStack()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Inspector:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def inspect(
        self, file: BinaryIO, name: str, manifest_file: str, *, needs_manifest: bool
    ) -> ShardInfo:
        """As `fedjob.workspace.shard.archive.inspect_shard` does, with bounded memory and time.

        Raises:
            InputError: The shard cannot be used, or needs more memory or time than it may.
            StoreError: The store cannot be read.
            StageError: The process fails for a cause other than the shard.
        """
        size = file.seek(0, os.SEEK_END)
        process = self._started()
        request = {
            "name": name,
            "size": size,
            "manifest_file": manifest_file,
            "needs_manifest": needs_manifest,
        }
        try:
            answer = _asked(process, file, size, request)
        except (ClosedPipeError, BrokenPipeError):
            self._stack.close()  # waits for the process
            self._process = None
            raise self._why_ended(process.returncode, name) from None
        except BaseException:
            # It waits for bytes that do not come.
            process.kill()
            self._stack.close()
            self._process = None
            raise
        if "info" in answer:
            return decoded(answer["info"])
        faults = [Fault(**fault) for fault in answer["faults"]]
        raise InputError(_REASONS[answer["reason"]], InvalidInputError(faults))

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._process = self._stack.enter_context(
                _started(str(self._memory_bytes), str(self._cpu_seconds))
            )
        return self._process

    def _why_ended(self, code: int, name: str) -> InputError | StageError:
        if code == EXIT_MEMORY:
            problem = f"needs more than {self._memory_bytes >> 20} MiB to be inspected"
        elif code == -signal.SIGXCPU:
            problem = f"takes more than {self._cpu_seconds} s to be inspected"
        elif code in (-signal.SIGKILL, -signal.SIGTERM):
            # Not its own doing: the stage's time is up, or the node has no memory left.
            message = f"{name}: its inspection was ended from outside; the operator tries again"
            return StageError(Reason.INTERNAL_ERROR, message)
        else:
            message = (
                f"{name}: its inspection failed (exit code {code}); read the operator's log, and "
                "report it"
            )
            return StageError(Reason.INTERNAL_ERROR, message)
        return InputError(Reason.SHARD_UNSAFE, InvalidInputError([Fault(name, problem, _SPLIT)]))


@contextlib.contextmanager
def _started(*limits: str) -> Iterator[subprocess.Popen[bytes]]:
    # Without our environment: it has the store's keys.
    with subprocess.Popen(
        [*_COMMAND, *limits], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=None, env={}
    ) as process:
        run = thread_run()
        with contextlib.nullcontext() if run is None else run.closing(process.kill):
            try:
                yield process
            finally:
                # Either ends it, if it waits to read or to write.
                with contextlib.suppress(BrokenPipeError):
                    cast(BinaryIO, process.stdin).close()
                cast(BinaryIO, process.stdout).close()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_END_SECONDS)
                process.kill()


def _asked(
    process: subprocess.Popen[bytes], file: BinaryIO, size: int, request: dict[str, Any]
) -> dict[str, Any]:
    """The answer to a request, after all reads that it takes."""
    source, sink = cast(BinaryIO, process.stdout), cast(BinaryIO, process.stdin)
    send(sink, json.dumps(request).encode())
    while True:
        answer: dict[str, Any] = json.loads(receive(source, MOST_ANSWER))
        if "read" not in answer:
            return answer
        start, length = (int(number) for number in answer["read"])
        if not 0 <= start <= start + length <= size or length > PIECE:
            process.kill()
            raise ClosedPipeError(f"it asks for {length} bytes at {start}")
        file.seek(start)
        send(sink, file.read(length))


def decoded(found: dict[str, Any]) -> ShardInfo:
    """What `inspection_process.encoded` wrote."""
    manifest = found.pop("manifest")
    if manifest is not None:
        manifest = ManifestSummary(**{**manifest, "labels": dict(manifest["labels"])})
    faults = tuple(Fault(**fault) for fault in found.pop("manifest_faults"))
    return ShardInfo(**found, manifest=manifest, manifest_faults=faults)
