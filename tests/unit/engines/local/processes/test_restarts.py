"""What follows the end of a process: every exit code, restart limit and backoff."""

import pytest

from fedjob.engines.local.processes import restarts
from fedjob.engines.local.processes.restarts import (
    BACKOFF,
    Ending,
    Then,
    agent_ended,
    server_ended,
    too_few_left,
    worker_ended,
)


@pytest.mark.parametrize(
    ("code", "reported_failure", "crashes", "lived", "then"),
    [
        (0, False, 0, 1.0, Then.DONE),
        (0, False, 99, 1.0, Then.DONE),
        (1, True, 0, 1.0, Then.FAILED),
        (1, False, 0, 1.0, Then.RESTART),
        (2, True, 0, 1.0, Then.RESTART),
        (-9, False, 0, 1.0, Then.RESTART),
        (-15, False, 3, 1.0, Then.RESTART),
        (-9, False, 6, 1.0, Then.FAILED),
        (1, False, 6, restarts.STABLE_SECONDS, Then.FAILED),
    ],
)
def test_end_of_the_server(code, reported_failure, crashes, lived, then):
    decision = server_ended(
        Ending(code, lived, crashes), reported_failure=reported_failure, backoff_limit=6
    )
    assert decision.then is then
    assert (decision.after > 0) is (then is Then.RESTART)
    assert bool(decision.why) is (then is not Then.DONE)


@pytest.mark.parametrize(
    ("code", "done_restarts", "max_restarts", "then"),
    [
        (0, 3, 3, Then.DONE),
        (64, 0, 3, Then.FAILED),
        (1, 0, 3, Then.RESTART),
        (-9, 2, 3, Then.RESTART),
        (-9, 3, 3, Then.FAILED),
        (1, 0, 0, Then.FAILED),
    ],
)
def test_end_of_a_worker(code, done_restarts, max_restarts, then):
    decision = worker_ended(
        "worker-1", Ending(code, 1.0, 0, done_restarts), max_restarts=max_restarts
    )
    assert decision.then is then
    if then is not Then.DONE:
        assert "worker-1" in decision.why


@pytest.mark.parametrize(
    ("code", "crashes", "then"),
    [(0, 0, Then.RESTART), (-9, 0, Then.RESTART), (1, 5, Then.RESTART), (-9, 6, Then.FAILED)],
)
def test_end_of_the_agent_is_always_a_crash(code, crashes, then):
    decision = agent_ended(Ending(code, 1.0, crashes), backoff_limit=6)
    assert decision.then is then
    assert "the server's agent ended with" in decision.why
    assert (decision.after > 0) is (then is Then.RESTART)


def test_backoff_doubles_up_to_its_limit_and_starts_over_after_a_stable_life():
    assert [BACKOFF.delay(n) for n in range(1, 8)] == [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0]
    assert BACKOFF.delay(10_000) == BACKOFF.longest
    short, stable = Ending(-9, 1.0, crashes=3), Ending(-9, restarts.STABLE_SECONDS, crashes=3)
    assert worker_ended("w", short, max_restarts=9).after == BACKOFF.delay(4)
    assert worker_ended("w", stable, max_restarts=9).after == BACKOFF.delay(1)
    assert server_ended(short, reported_failure=False, backoff_limit=9).after == BACKOFF.delay(4)


def test_how_an_end_reads():
    assert Ending(-9, 1.0).how == "signal 9"
    assert Ending(3, 1.0).how == "exit code 3"


@pytest.mark.parametrize(
    ("workers", "failed", "min_clients", "expected"),
    [(3, 0, 3, False), (3, 1, 3, True), (3, 1, 2, False), (1, 1, 1, True)],
)
def test_too_few_left(workers, failed, min_clients, expected):
    assert too_few_left(workers, failed, min_clients) is expected
