"""What a waiting server tells: for whom, since when, and for how long."""

from __future__ import annotations

import pytest

from fedjob_runtime.server.supervisor.waiting import waiting_words

SINCE = 1_800_000_000.4


@pytest.mark.parametrize(
    ("until", "deadline", "end"),
    [
        (SINCE + 30, None, "goes on without the missing at 2027-01-15T08:00:30Z at the latest"),
        (None, 900, "until the job's activeDeadlineSeconds (900) are over"),
        (None, None, "without a limit; spec.runPolicy.activeDeadlineSeconds sets one"),
    ],
)
def test_it_says_for_whom_since_when_and_for_how_long(
    until: float | None, deadline: int | None, end: str
) -> None:
    words = waiting_words(["worker-1", "worker-2"], 1, 3, 2, SINCE, until, deadline)
    assert words.startswith("waiting for worker-1, worker-2 since 2027-01-15T08:00:00Z (1 of 3 ")
    assert "2 needed" in words
    assert words.endswith(end)


def test_many_are_told_by_number() -> None:
    words = waiting_words([f"worker-{i}" for i in range(250)], 6, 256, 256, SINCE, None, None)
    assert "worker-9 and 240 more" in words
    assert len(words) < 400
