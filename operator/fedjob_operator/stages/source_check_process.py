"""The process that parses the author's files: Python's parser takes a hundred times their size.

A megabyte of source can take 800 MiB and minutes of CPU. As in `inspection_process`, the process
has a memory limit and no keys; it reads one request and writes one answer.
"""

from __future__ import annotations

import json
import resource
import sys
from dataclasses import asdict
from typing import Any

from fedjob.errors import InvalidInputError
from fedjob.workspace.source.check import check_model
from fedjob_operator.stages.inspection_process import EXIT_MEMORY, receive, send

MOST_REQUEST = 64 << 20
"""Bytes of a request: all files beside the model file have 32 MiB at most."""


def answer_to(request: dict[str, Any]) -> dict[str, Any]:
    """What the files hold, or their faults."""
    files = {path: text.encode("latin-1") for path, text in request.pop("files").items()}
    try:
        return {"info": asdict(check_model(request.pop("text"), files, **request))}
    except InvalidInputError as error:
        return {"reason": str(error.reason), "faults": [asdict(fault) for fault in error.faults]}


def main() -> int:
    """Answers one request; the arguments are the limits."""
    memory_bytes, cpu_seconds = (int(text) for text in sys.argv[1:])
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        answer = answer_to(json.loads(receive(sys.stdin.buffer, MOST_REQUEST)))
    except MemoryError:
        return EXIT_MEMORY
    send(sys.stdout.buffer, json.dumps(answer).encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
