"""What an exception of the server's job process means: its reason, and whether to retry.

A deterministic error comes back in every segment, so it fails the run at once and names the lines
that raised it. What may pass (a connection, a timeout) is left to the supervisor's retries.
"""

from __future__ import annotations

import errno
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fedjob.errors import FedjobError
from fedjob.reasons import Reason
from fedjob_runtime.training.user_code import traceback_text
from fedjob_runtime.training.user_code.guard import is_out_of_memory

_OWN_CODE = Path(__file__).resolve().parents[2]
"""fedjob_runtime: where the lines that a report to us should name are."""
_FULL_DISK = (errno.ENOSPC, errno.EDQUOT)
_LASTING = (
    FileNotFoundError,
    FileExistsError,
    PermissionError,
    IsADirectoryError,
    NotADirectoryError,
)
"""Errors of the operating system that come back; others, such as a broken connection, may pass."""


@dataclass(frozen=True, slots=True)
class JobProcessFailure:
    """How an exception is reported to the supervisor.

    Attributes:
        reason: From the catalogue.
        message: What failed, its last frames, and what to do.
        may_pass: Whether the next segment may succeed where this one failed.
    """

    reason: str
    message: str
    may_pass: bool = False


def failure_of(
    error: BaseException, custom: Path, doing: str, *, building: bool = False
) -> JobProcessFailure:
    """Classifies an exception that ended the work of the server's job process.

    Args:
        error: What was raised.
        custom: The job folder's app/custom, where the author's files are.
        doing: When it was raised, such as `in round 3`.
        building: Whether NVFlare was building the job's components.
    """
    if isinstance(error, FedjobError):
        return JobProcessFailure(error.reason, str(error))
    what = f"the server's job process failed {doing}"
    summary = traceback_text.failure_of(error).summary
    if is_out_of_memory(error):
        return JobProcessFailure(
            Reason.OUT_OF_MEMORY,
            f"the server's job process ran out of memory {doing}: {summary}; give the "
            "server more memory (spec.server.resources.limits.memory)",
        )
    chain = list(_causes(error))
    if any(_disk_is_full(each) for each in chain):
        return JobProcessFailure(
            Reason.NO_SPACE,
            f"{what}: {summary}; free space on the server's disk, or give it more "
            "(ephemeral storage of spec.server.resources)",
        )
    for each in chain:
        if traceback_text.failure_of(each).place(custom) is not None:
            return JobProcessFailure(
                Reason.COMPONENT_FAILED,
                f"{what} in the author's code: {described(each, custom)}\n"
                "correct the class that spec.components names and submit the job again",
            )
    passing = isinstance(error, OSError) and not isinstance(error, _LASTING)
    if building and not passing:
        return JobProcessFailure(
            Reason.COMPONENT_INVALID,
            f"{what}: {described(error, _OWN_CODE)}\n"
            "correct path and args of spec.components, whose classes are built there",
        )
    if passing:
        return JobProcessFailure(Reason.FEDERATION_FAILED, f"{what}: {summary}", may_pass=True)
    return JobProcessFailure(
        Reason.INTERNAL_ERROR,
        f"{what}: {described(error, _OWN_CODE)}\n"
        "this is a fault of fedjob: report it with the server's log; a new run of the job resumes "
        "after the last committed round",
    )


def described(error: BaseException, folder: Path) -> str:
    """`KeyError: 'x' (model_def.py line 3, in load_model):` and the traceback's last lines.

    Args:
        error: What was raised.
        folder: The code whose line is named; the traceback begins with its first line.
    """
    failure = traceback_text.failure_of(error)
    place = failure.place(folder)
    where = f" ({place})" if place else ""
    return f"{failure.summary}{where}:\n{failure.tail(folder)}"


def folder_of(component: object) -> Path:
    """The folder of the file that defines a component's class."""
    try:
        return Path(inspect.getfile(type(component))).parent
    except (TypeError, OSError):
        return _OWN_CODE


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, what it was raised from, and so on; the first cause is last."""
    each: BaseException | None = error
    while each is not None:
        yield each
        each = each.__cause__ or each.__context__


def _disk_is_full(error: BaseException) -> bool:
    # safetensors puts the operating system's error into a text.
    return (isinstance(error, OSError) and error.errno in _FULL_DISK) or any(
        f"os error {code}" in str(error) for code in _FULL_DISK
    )
