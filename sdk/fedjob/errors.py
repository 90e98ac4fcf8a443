"""Errors for people: each names the faulty object and the fix.

Everything fedjob refuses derives from `FedjobError`; the command line prints its text and exits
with its code, and never shows a traceback for one. A fault is one thing wrong in one field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from fedjob.reasons import Reason

EXIT_FAILED = 1
"""The job ran and failed."""
EXIT_INVALID = 2
"""The input is wrong; nothing ran."""
EXIT_UNAVAILABLE = 3
"""Something the job needs (a store, a cluster, a package) cannot be reached."""
EXIT_INTERRUPTED = 130
"""Ctrl-C; the run can be resumed."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong in one place.

    Attributes:
        field: Where: a dotted path such as `spec.training.batchSize`, or `shard-1.zip:
            manifest.ndjson line 7`.
        problem: What is wrong, with what was given.
        fix: What to write or do instead.
    """

    field: str
    problem: str
    fix: str

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}; {self.fix}"


class FedjobError(Exception):
    """Base of every error that fedjob raises on purpose.

    Attributes:
        exit_code: Exit code of the command line.
        reason: What a condition, a failed client or an Event names: set by each class, and by an
            instance only where one class stands for several reasons.
    """

    exit_code = EXIT_FAILED
    reason: Reason = Reason.INTERNAL_ERROR


class InvalidInputError(FedjobError):
    """The user's input is wrong; all its faults at once.

    Attributes:
        faults: Every fault found, in the order in which they stand in the input; never empty.
    """

    exit_code = EXIT_INVALID
    reason = Reason.SPEC_INVALID

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults: tuple[Fault, ...] = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))

    def reword(self, change: Callable[[str], str]) -> None:
        """Change the text of every fault, as for a caller who knows other names of the options."""
        self.faults = tuple(
            Fault(change(fault.field), change(fault.problem), change(fault.fix))
            for fault in self.faults
        )
        self.args = ("\n".join(str(fault) for fault in self.faults),)


class UnavailableError(FedjobError):
    """Something outside fedjob cannot be reached or refuses us."""

    exit_code = EXIT_UNAVAILABLE


class WorkspaceError(InvalidInputError):
    """The job's files cannot be brought to where the job reads them."""

    reason = Reason.WORKSPACE_ERROR


class RunFailedError(FedjobError):
    """The job ran and failed.

    Attributes:
        run: Name of the job.
        message: Why it failed and what to do.
    """

    def __init__(self, run: str, reason: str, message: str) -> None:
        """Takes a reason that this version of the catalogue may not have.

        Args:
            run: Name of the job.
            reason: From the catalogue.
            message: Why it failed and what to do.
        """
        self.run = run
        self.message = message
        self.reason = next((known for known in Reason if known == reason), Reason.INTERNAL_ERROR)
        super().__init__(f"{run}: {reason}: {message}")


class FedjobWarning(UserWarning):
    """A probable mistake, or an argument without a meaning here; nothing stops for it."""


InvalidJobError = InvalidInputError
"""What the SDK raises for a job that cannot run: every fault, each with its fix."""
