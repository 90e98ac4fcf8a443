"""One rule of exponential backoff for operator, runtime and SDK."""

from __future__ import annotations

import pytest

from fedjob.backoff import Backoff


def test_delay_doubles_up_to_the_longest() -> None:
    backoff = Backoff(first=0.5, longest=3.0)
    assert [backoff.delay(attempt) for attempt in range(1, 6)] == [0.5, 1.0, 2.0, 3.0, 3.0]


@pytest.mark.parametrize("attempt", [0, -1])
def test_no_failure_means_no_wait(attempt: int) -> None:
    assert Backoff(first=2.0, longest=60.0, jitter=0.5).delay(attempt, draw=0.9) == 0.0


def test_many_failures_do_not_overflow() -> None:
    assert Backoff(first=2.0, longest=60.0).delay(10**9) == 60.0


@pytest.mark.parametrize(("draw", "factor"), [(0.0, 0.8), (0.25, 0.9), (0.5, 1.0), (1.0, 1.2)])
def test_jitter_shortens_and_lengthens_by_its_fraction(draw: float, factor: float) -> None:
    backoff = Backoff(first=10.0, longest=40.0, jitter=0.2)
    assert backoff.delay(2, draw) == pytest.approx(20.0 * factor)
    assert backoff.delay(9, draw) == pytest.approx(40.0 * factor)


def test_without_jitter_the_draw_does_not_matter() -> None:
    backoff = Backoff(first=1.0, longest=8.0)
    assert {backoff.delay(3, draw) for draw in (0.0, 0.3, 0.99)} == {4.0}


@pytest.mark.parametrize(
    ("first", "longest", "jitter", "named"),
    [
        (-1.0, 2.0, 0.0, "first is -1.0"),
        (3.0, 2.0, 0.0, "longest is 2.0"),
        (1.0, 2.0, -0.1, "jitter is -0.1"),
        (1.0, 2.0, 1.1, "jitter is 1.1"),
    ],
)
def test_impossible_values_are_refused(
    first: float, longest: float, jitter: float, named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        Backoff(first, longest, jitter)
