"""Errors whose reason depends on what the stage was doing."""

from __future__ import annotations

from fedjob.errors import FedjobError, InvalidInputError
from fedjob.reasons import Reason


class InputError(InvalidInputError):
    """Something that the job refers to cannot be used."""

    def __init__(self, reason: Reason, error: InvalidInputError) -> None:
        self.reason = reason
        super().__init__(error.faults)


class StageError(FedjobError):
    """A stage failed for a cause other than the user's input."""

    def __init__(self, reason: Reason, message: str) -> None:
        self.reason = reason
        super().__init__(message)
