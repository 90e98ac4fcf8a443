"""Collects the faults of several checks, so that they are reported together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fedjob.errors import Fault, InvalidInputError


class FaultList:
    """Faults in the order in which they are found; each only once."""

    def __init__(self) -> None:
        self._faults: dict[Fault, None] = {}

    def __len__(self) -> int:
        """Number of faults."""
        return len(self._faults)

    def add(self, field: str, problem: str, fix: str) -> None:
        """Add a fault."""
        self._faults[Fault(field, problem, fix)] = None

    @contextmanager
    def collected(self) -> Iterator[None]:
        """Collect the faults of an InvalidInputError or an OSError that the block raises."""
        try:
            yield
        except InvalidInputError as error:
            self._faults.update(dict.fromkeys(error.faults))
        except OSError as error:
            name = str(error.filename or "file")
            self.add(name, error.strerror or str(error), "check the path and its permissions")

    def check(self) -> None:
        """Raise the collected faults, if any.

        Raises:
            InvalidInputError: With all of them.
        """
        if self._faults:
            raise InvalidInputError(self._faults)
