"""When a round is over. Pure: the clock is an argument.

CONTRACT row 14: min_clients must answer, then wait_time_after_min_received, then aggregate; row 13:
a round that cannot reach min_clients is not aggregated but tried again.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """What to do with the round under way."""

    WAIT = "wait"
    AGGREGATE = "aggregate"
    SHORT = "short"


@dataclass(frozen=True, slots=True)
class RoundTerms:
    """The federation's settings of a round, in seconds; None means without a limit."""

    min_clients: int
    wait_after_min: float
    timeout: float | None


def judge(
    terms: RoundTerms,
    *,
    answered: int,
    waiting: int,
    elapsed: float,
    since_min: float | None,
) -> Verdict:
    """Judges the round under way.

    Args:
        terms: The federation's settings.
        answered: Workers whose result was accepted.
        waiting: Workers that may still answer: neither failed nor lost.
        elapsed: Seconds since the tasks were sent.
        since_min: Seconds since the min_clients-th result, None before it.
    """
    enough = answered >= terms.min_clients
    timed_out = terms.timeout is not None and elapsed > terms.timeout
    if enough and (waiting == 0 or timed_out):
        return Verdict.AGGREGATE
    if enough and since_min is not None and since_min >= terms.wait_after_min:
        return Verdict.AGGREGATE
    if not enough and (timed_out or answered + waiting < terms.min_clients):
        return Verdict.SHORT
    return Verdict.WAIT
