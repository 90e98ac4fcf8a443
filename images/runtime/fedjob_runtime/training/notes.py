"""Notes: what was converted, dropped or suspicious in an answer that counts all the same."""

from __future__ import annotations

from typing import NamedTuple

from fedjob.reasons import Reason

CONVERSIONS = frozenset([Reason.WRAPPER_PREFIX, Reason.TIED_WEIGHT_FILLED, Reason.DTYPE_CONVERTED])
"""Kinds that come in every round alike: once is enough."""


class Note(NamedTuple):
    """A warning for a person; it changes nothing.

    Attributes:
        reason: Its kind, from the catalogue.
        message: What was found, and what to do about it.
    """

    reason: Reason
    message: str

    def __str__(self) -> str:
        """`<Reason>: <message>`: how an answer and a commit hold it."""
        return f"{self.reason}: {self.message}"
