"""The boundary to the author's code: what it raises becomes a typed error with file and line."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from fedjob_runtime.training.context import TrainingContext
from fedjob_runtime.training.errors import (
    ModelInvalidError,
    OutOfMemoryInTraining,
    TrainingError,
    UserCodeError,
)
from fedjob_runtime.training.user_code.fixes import fix_of
from fedjob_runtime.training.user_code.traceback_text import failure_of

_OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "alloc_failed",  # CUBLAS_STATUS_ALLOC_FAILED, CUDNN_STATUS_ALLOC_FAILED
    "is killed by signal: killed",  # a DataLoader worker that the kernel ended
)


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
def guarded(what: str, folder: Path, context: TrainingContext) -> Iterator[None]:
    """Runs the author's code and turns whatever it raises into a typed error.

    Args:
        what: What is called, such as `fl_train_model in round 3`.
        folder: Where the author's files are.
        context: Worker, shard and hyperparameters, named in the error.

    Raises:
        OutOfMemoryInTraining: Memory ran out (row 30).
        UserCodeError: Anything else, sys.exit and KeyboardInterrupt included: the executor answers
            for its worker; it must not end with the author's code.
        TrainingError: As raised inside, with worker and line filled in.
    """
    try:
        yield
    except TrainingError as error:
        error.worker = error.worker or context.worker
        if not error.where:
            place = failure_of(error).place(folder)
            error.where = str(place) if place else ""
        raise
    except BaseException as error:
        failure = failure_of(error)
        place = failure.place(folder)
        if is_out_of_memory(error):
            # The frames hold the batch and the graph; the next try needs their memory.
            traceback.clear_frames(error.__traceback__)
            raise OutOfMemoryInTraining(
                f"{what} ran out of memory with batch_size {context.batch_size}: {failure.summary}",
                "reduce batch_size (spec.training.batchSize) or give the workers more memory",
                worker=context.worker,
                where=str(place) if place else "",
            ) from error
        raise UserCodeError(
            f"{what} failed: {failure.summary}",
            fix_of(failure.root, context),
            worker=context.worker,
            where=str(place) if place else "",
            exception_type=failure.root.kind,
            file=place.file if place else "",
            line=place.line if place else 0,
            tail=failure.tail(folder),
        ) from error


def invalid_model(problem: str, error: BaseException, folder: Path) -> TrainingError:
    """The error for a model_def.py, or a model's constructor, that raises.

    Args:
        problem: What was tried.
        error: What was raised.
        folder: Where the author's files are.
    """
    failure = failure_of(error)
    place = failure.place(folder)
    where = f" ({place})" if place else ""
    tail = failure.tail(folder)
    return ModelInvalidError(
        f"{problem}: {failure.summary}{where}:\n{tail}\n", fix_of(failure.root)
    )
