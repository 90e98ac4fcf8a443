"""Checks the author's files in a subprocess with a memory limit.

Decision 030 says why, and how such a process gets what it needs.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO, cast

from fedjob.errors import Fault, InvalidInputError
from fedjob.reasons import Reason
from fedjob.workspace.source.model_class import Constructor
from fedjob.workspace.source.model_file import SourceInfo
from fedjob_operator.stage_run import thread_run
from fedjob_operator.stages.errors import InputError, StageError
from fedjob_operator.stages.inspection_process import (
    EXIT_MEMORY,
    ClosedPipeError,
    receive,
    send,
)

MEMORY_BYTES = 256 << 20
"""Address space of the process; a file of 100 KB takes 60 MiB."""
CPU_SECONDS = 30
"""CPU time of the process."""
MOST_ANSWER = 4 << 20
"""Bytes of an answer."""
_COMMAND = (sys.executable, "-I", "-m", "fedjob_operator.stages.source_check_process")
_REASONS = {str(reason): reason for reason in Reason}


def check_source(
    text: str,
    files: Mapping[str, bytes],
    *,
    class_name: str | None,
    train_function: str | None,
    requirements: Sequence[str],
    memory_bytes: int = MEMORY_BYTES,
    cpu_seconds: int = CPU_SECONDS,
) -> SourceInfo:
    """As `fedjob.workspace.source.check.check_model` does, with bounded memory and time.

    Args:
        text: The model file.
        files: What is shipped beside it; the contents of Python files alone are looked at.
        class_name: `model.className`.
        train_function: `model.trainFunction`.
        requirements: As pip takes them.
        memory_bytes: Address space of the process.
        cpu_seconds: Its CPU time.

    Raises:
        InputError: The files cannot be used, or need more memory or time than they may.
        StageError: The process fails for a cause other than the files.
    """
    request = {
        "text": text,
        "files": {
            path: content.decode("latin-1") if path.endswith(".py") else ""
            for path, content in files.items()
        },
        "class_name": class_name,
        "train_function": train_function,
        "requirements": list(requirements),
    }
    command = [*_COMMAND, str(memory_bytes), str(cpu_seconds)]
    run = thread_run()
    # Without our environment: it has the store's keys.
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={}) as process,
        contextlib.nullcontext() if run is None else run.closing(process.kill),
    ):
        try:
            send(cast(BinaryIO, process.stdin), json.dumps(request).encode())
            answer = json.loads(receive(cast(BinaryIO, process.stdout), MOST_ANSWER))
        except (ClosedPipeError, BrokenPipeError):
            raise _why_ended(process.wait(), memory_bytes, cpu_seconds) from None
        finally:
            process.kill()
    if "info" in answer:
        return decoded(answer["info"])
    faults = [Fault(**fault) for fault in answer["faults"]]
    raise InputError(_REASONS[answer["reason"]], InvalidInputError(faults))


def decoded(found: dict[str, Any]) -> SourceInfo:
    """A result as `source_check_process` writes it."""
    constructor = Constructor(**_tuples(found.pop("constructor")))
    return SourceInfo(**_tuples(found), constructor=constructor)


def _tuples(found: dict[str, Any]) -> dict[str, Any]:
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in found.items()
    }


def _why_ended(code: int, memory_bytes: int, cpu_seconds: int) -> InputError | StageError:
    if code == EXIT_MEMORY:
        problem = f"need more than {memory_bytes >> 20} MiB to be parsed"
    elif code == -signal.SIGXCPU:
        problem = f"take more than {cpu_seconds} s to be parsed"
    else:
        message = f"model_def.py: its check failed (exit code {code}); read the operator's log"
        return StageError(Reason.INTERNAL_ERROR, message)
    fix = "make the Python files smaller, and put data into the shards"
    fault = Fault("spec.model", f"its Python files {problem}", fix)
    return InputError(Reason.SOURCE_INVALID, InvalidInputError([fault]))
