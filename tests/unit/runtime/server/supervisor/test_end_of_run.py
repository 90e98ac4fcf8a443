"""The last status is kept; workers are released for a bounded time."""

from __future__ import annotations

from fedjob_runtime.server.clock import Stopped
from fedjob_runtime.server.orders import ParentError
from fedjob_runtime.server.supervisor.end_of_run import RELEASE_SECONDS, release_workers


class Clock:
    now = 0.0
    stop_at = 1e9

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.now >= self.stop_at:
            raise Stopped


class Parent:
    alive = True

    def __init__(self, *answers: bool | ParentError) -> None:
        self.answers = list(answers)

    def shut_clients_down(self) -> bool:
        answer = self.answers.pop(0) if self.answers else False
        if isinstance(answer, ParentError):
            raise answer
        return answer


def test_workers_are_awaited_until_they_have_left() -> None:
    clock = Clock()
    release_workers(Parent(False, True), lambda: clock.now < 3, clock)
    assert 3 <= clock.now < 3.5


def test_a_job_that_does_not_end_and_workers_that_stay_are_left_alone() -> None:
    for parent in (Parent(), Parent(True)):
        clock = Clock()
        release_workers(parent, lambda: True, clock)
        assert RELEASE_SECONDS <= clock.now < RELEASE_SECONDS + 1


def test_parent_that_fails_and_a_stop_end_the_release() -> None:
    clock = Clock()
    release_workers(Parent(ParentError("no session")), lambda: True, clock)
    assert clock.now == 0
    clock.stop_at = 2
    release_workers(Parent(), lambda: True, clock)
    assert clock.now < 3
