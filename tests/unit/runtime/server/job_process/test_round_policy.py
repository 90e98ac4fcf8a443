"""When a round is over (CONTRACT rows 13, 14)."""

from __future__ import annotations

import pytest

from fedjob_runtime.server.job_process.round_policy import RoundTerms, Verdict, judge

TERMS = RoundTerms(min_clients=2, wait_after_min=10, timeout=60)
NO_LIMIT = RoundTerms(min_clients=2, wait_after_min=10, timeout=None)


@pytest.mark.parametrize(
    ("terms", "answered", "waiting", "elapsed", "since_min", "verdict"),
    [
        (TERMS, 0, 3, 1, None, Verdict.WAIT),
        (TERMS, 1, 2, 50, None, Verdict.WAIT),
        (TERMS, 2, 1, 20, 9.9, Verdict.WAIT),
        (TERMS, 2, 1, 20, 10, Verdict.AGGREGATE),
        (TERMS, 3, 0, 1, 0, Verdict.AGGREGATE),
        (TERMS, 2, 0, 1, 0, Verdict.AGGREGATE),
        (TERMS, 2, 1, 61, 1, Verdict.AGGREGATE),
        (TERMS, 1, 1, 61, None, Verdict.SHORT),
        (TERMS, 1, 0, 1, None, Verdict.SHORT),
        (TERMS, 0, 1, 1, None, Verdict.SHORT),
        (NO_LIMIT, 1, 1, 1e9, None, Verdict.WAIT),
        (NO_LIMIT, 1, 0, 1, None, Verdict.SHORT),
    ],
)
def test_row_14_when_a_round_is_over(
    terms: RoundTerms,
    answered: int,
    waiting: int,
    elapsed: float,
    since_min: float | None,
    verdict: Verdict,
) -> None:
    got = judge(terms, answered=answered, waiting=waiting, elapsed=elapsed, since_min=since_min)
    assert got is verdict
