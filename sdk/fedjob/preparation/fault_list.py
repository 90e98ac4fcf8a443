"""Collects the faults of several checks, so that they are reported together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fedjob.errors import Fault, InvalidInputError
from fedjob.reasons import Reason
from fedjob.spec import FederatedJob
from fedjob.spec.validation.parse import check_job


def faults_of(job: FederatedJob) -> FaultList:
    """The faults of the resource itself, to which those of its files are added."""
    faults = FaultList()
    with faults.collected():
        check_job(job)
    return faults


class FaultList:
    """Faults in the order in which they are found; each only once."""

    def __init__(self) -> None:
        self._faults: dict[Fault, Reason] = {}

    def __len__(self) -> int:
        """Number of faults."""
        return len(self._faults)

    def add(self, field: str, problem: str, fix: str) -> None:
        """Add a fault."""
        self._faults.setdefault(Fault(field, problem, fix), InvalidInputError.reason)

    @contextmanager
    def collected(self) -> Iterator[None]:
        """Collect the faults of an InvalidInputError or an OSError that the block raises."""
        try:
            yield
        except InvalidInputError as error:
            for fault in error.faults:
                self._faults.setdefault(fault, error.reason)
        except OSError as error:
            name = str(error.filename or "file")
            self.add(name, error.strerror or str(error), "check the path and its permissions")

    def check(self) -> None:
        """Raise the collected faults, if any.

        Raises:
            InvalidInputError: With all of them; its reason is that of the first.
        """
        if self._faults:
            error = InvalidInputError(self._faults)
            error.reason = next(iter(self._faults.values()))
            raise error
