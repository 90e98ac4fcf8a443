"""The border to the user's code: whatever it raises becomes a typed error with file and line."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from fedjob_runtime.training.errors import (
    OutOfMemoryInTraining,
    TrainingError,
    UserCodeError,
)

TAIL_LINES = 12
TAIL_CHARACTERS = 2000
"""What is kept of a traceback: enough to see the place, little enough for a status."""

_OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "alloc_failed",  # CUBLAS_STATUS_ALLOC_FAILED, CUDNN_STATUS_ALLOC_FAILED
    "is killed by signal: killed",  # a DataLoader worker that the kernel ended
)

_IMPORTS = {
    "nn": "import torch.nn as nn",
    "F": "import torch.nn.functional as F",
    "np": "import numpy as np",
    "pd": "import pandas as pd",
    "optim": "import torch.optim as optim",
    "Image": "from PIL import Image",
    "Path": "from pathlib import Path",
    "DataLoader": "from torch.utils.data import DataLoader",
    "Dataset": "from torch.utils.data import Dataset",
}


@dataclass(frozen=True, slots=True)
class Place:
    """A line of code.

    Attributes:
        file: The file's name, without its folder.
        line: From 1; 0 where unknown.
        function: The function around it; empty at module level.
    """

    file: str
    line: int
    function: str = ""

    def __str__(self) -> str:
        inside = f", in {self.function}" if self.function else ""
        return f"{self.file} line {self.line}{inside}"


def place_of(error: BaseException, folder: Path) -> Place | None:
    """The innermost line in `folder` that led to `error`; None where none did."""
    if isinstance(error, SyntaxError) and error.filename and _within(error.filename, folder):
        return Place(Path(error.filename).name, error.lineno or 0)
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if _within(frame.filename, folder)
    ]
    if not frames:
        return None
    last = frames[-1]
    function = "" if last.name == "<module>" else last.name
    return Place(Path(last.filename).name, last.lineno or 0, function)


def tail_of(error: BaseException, folder: Path) -> str:
    """The traceback's last lines, from the user's first line on."""
    trace = error.__traceback__
    while trace is not None and not _within(trace.tb_frame.f_code.co_filename, folder):
        trace = trace.tb_next
    formatted = "".join(
        traceback.format_exception(type(error), error, trace or error.__traceback__)
    )
    return "\n".join(formatted.rstrip().splitlines()[-TAIL_LINES:])[-TAIL_CHARACTERS:]


def summary_of(error: BaseException) -> str:
    """`ZeroDivisionError: division by zero`, on one line."""
    text = "".join(traceback.format_exception_only(type(error), error)).strip()
    lines = text.splitlines() or [type(error).__name__]
    # A SyntaxError shows its source line first; others say what happened first, and advise after.
    return lines[-1 if isinstance(error, SyntaxError) else 0][:500]


def fix_of(error: BaseException) -> str:
    """What to do about an exception of the user's code."""
    if isinstance(error, NameError) and error.name:
        known = _IMPORTS.get(error.name, f"import {error.name}")
        return f"define `{error.name}` or add `{known}` to the same file"
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.split(".")[0]
        return f"add the package that holds `{package}` to spec.model.requirements"
    if isinstance(error, (SystemExit, KeyboardInterrupt)):
        return "return a dict instead of leaving the process"
    return "correct it there and submit the job again"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on the device or on the host; a `raise ... from` is followed."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, (torch.OutOfMemoryError, MemoryError)):
            return True
        text = str(cause).lower() if isinstance(cause, (RuntimeError, OSError)) else ""
        if any(mark in text for mark in _OUT_OF_MEMORY):
            return True
        cause = cause.__cause__
    return False


@contextmanager
def guarded(what: str, folder: Path, worker: str, batch_size: int) -> Iterator[None]:
    """Runs user code and turns whatever it raises into a typed error.

    Args:
        what: What is called, such as `fl_train_model in round 3`.
        folder: Where the user's files are.
        worker: Who runs it.
        batch_size: As set; named where memory ran out.

    Raises:
        OutOfMemoryInTraining: Memory ran out (row 30).
        UserCodeError: Anything else, sys.exit and KeyboardInterrupt included: the executor answers
            for its worker; it must not end with the user's code.
        TrainingError: As raised inside, with worker and line filled in.
    """
    try:
        yield
    except TrainingError as error:
        error.worker = error.worker or worker
        error.where = error.where or _text(place_of(error, folder))
        raise
    except BaseException as error:
        place = place_of(error, folder)
        if is_out_of_memory(error):
            summary = summary_of(error)
            # The frames hold the batch and the graph; the next try needs their memory.
            traceback.clear_frames(error.__traceback__)
            raise OutOfMemoryInTraining(
                f"{what} ran out of memory with batch_size {batch_size}: {summary}",
                "reduce batch_size (spec.training.batchSize) or give the workers more memory",
                worker=worker,
                where=_text(place),
            ) from error
        raise UserCodeError(
            f"{what} failed: {summary_of(error)}",
            fix_of(error),
            worker=worker,
            where=_text(place),
            exception_type=type(error).__name__,
            file=place.file if place else "",
            line=place.line if place else 0,
            tail=tail_of(error, folder),
        ) from error


def _text(place: Place | None) -> str:
    return str(place) if place else ""


def _within(filename: str, folder: Path) -> bool:
    return Path(filename).is_relative_to(folder)
