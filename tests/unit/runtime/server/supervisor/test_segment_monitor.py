"""When a segment is superseded, and what its job process is asked."""

from __future__ import annotations

import pytest

from fedjob_runtime.server.ipc import SegmentReport
from fedjob_runtime.server.supervisor.membership import Membership
from fedjob_runtime.server.supervisor.segment_monitor import (
    EXIT_REPORT_SECONDS,
    SCHEDULE_SECONDS,
    SETTLE_SECONDS,
    SegmentEnd,
    SegmentMonitor,
    SegmentRequest,
)

ALL = {"worker-0": "a", "worker-1": "b", "worker-2": "c"}
TRAINING = SegmentReport(1, "training", 3)


def there(
    clients: dict[str, str],
    working: tuple[str, ...] = (),
    jobs: tuple[str, ...] = ("j",),
    ended: tuple[str, ...] = (),
) -> Membership:
    cells = frozenset({*clients, *(f"{name}.j" for name in working)})
    return Membership(clients, {}, cells, frozenset(jobs), frozenset(f"{n}.j" for n in ended))


def watch(members: dict[str, str] = ALL) -> SegmentMonitor:
    return SegmentMonitor("j", members, set(ALL), submitted=0.0)


def test_all_well_asks_for_nothing() -> None:
    assert watch().step(1, TRAINING, there(ALL, tuple(ALL)), True) == SegmentRequest()


@pytest.mark.parametrize("outcome", ["complete", "stop", "short", "hung", "error"])
def test_the_reports_outcome_ends_it_even_when_the_parent_is_gone(outcome: str) -> None:
    report = SegmentReport(1, "ended", 3, outcome=outcome)
    assert watch().step(1, report, Membership(), False) == SegmentEnd(outcome)


def test_a_dead_parent_ends_it() -> None:
    assert watch().step(1, TRAINING, there(ALL), False) == SegmentEnd("parent")


def test_a_lost_worker_is_passed_on_and_costs_no_segment() -> None:
    following = watch()
    following.step(1, TRAINING, there(ALL, tuple(ALL)), True)
    rest = {name: ALL[name] for name in ("worker-0", "worker-1")}
    step = following.step(2, TRAINING, there(rest, ("worker-0", "worker-1")), True)
    assert step == SegmentRequest(lost=("worker-2",))


def test_the_end_of_the_server_s_own_process_is_no_worker_s() -> None:
    """It counted as the worker `server`, whose third end in a round failed a job of one worker."""
    following = watch()
    following.step(1, TRAINING, there(ALL, (*ALL, "server")), True)
    step = following.step(2, TRAINING, there(ALL, tuple(ALL)), True)
    assert step == SegmentEnd("job")


def test_a_worker_that_took_the_job_with_it_is_still_named() -> None:
    following = watch()
    following.step(1, TRAINING, there(ALL, (*ALL, "server")), True)
    step = following.step(2, TRAINING, there(ALL, ("worker-0", "worker-2")), True)
    assert step == SegmentEnd("job", frozenset({"worker-1"}))


def test_a_training_process_that_ended_names_its_worker() -> None:
    following = watch()
    following.step(1, TRAINING, there(ALL, tuple(ALL)), True)
    left = there(ALL, ("worker-0", "worker-2"), ended=("worker-1",))
    assert following.step(2, TRAINING, left, True) == SegmentEnd("exited", frozenset({"worker-1"}))


def test_a_lost_connection_is_not_an_exited_process() -> None:
    """No worker reports an end: its process runs."""
    following = watch()
    following.step(1, TRAINING, there(ALL, tuple(ALL)), True)
    cut = there(ALL, ("worker-0", "worker-2"))
    assert following.step(2, TRAINING, cut, True) == SegmentRequest()
    step = following.step(2 + EXIT_REPORT_SECONDS, TRAINING, cut, True)
    assert step == SegmentEnd("disconnected", disconnected=frozenset({"worker-1"}))


def test_connections_that_are_all_lost_at_once_are_no_workers_fault() -> None:
    following = watch()
    following.step(1, TRAINING, there(ALL, tuple(ALL)), True)
    assert following.step(2, TRAINING, there(ALL), True) == SegmentRequest()
    step = following.step(2 + EXIT_REPORT_SECONDS, TRAINING, there(ALL), True)
    assert step == SegmentEnd("job")


def test_a_connection_that_returns_ends_nothing() -> None:
    following = watch()
    cut = there(ALL, ("worker-0", "worker-2"))
    for now in (1.0, 1.0 + 2 * EXIT_REPORT_SECONDS):
        assert following.step(now, TRAINING, there(ALL, tuple(ALL)), True) == SegmentRequest()
        assert following.step(now + 1, TRAINING, cut, True) == SegmentRequest()


def test_a_training_process_that_has_not_started_yet_did_not_end() -> None:
    assert watch().step(1, None, there(ALL, ("worker-0",)), True) == SegmentRequest()


def test_a_job_that_is_gone_blames_a_worker_only_when_others_are_left() -> None:
    following = watch()
    following.step(1, TRAINING, there(ALL, tuple(ALL)), True)
    step = following.step(2, TRAINING, there(ALL, ("worker-0", "worker-2"), jobs=()), True)
    assert step == SegmentEnd("job", frozenset({"worker-1"}))
    other = watch()
    other.step(1, TRAINING, there(ALL, tuple(ALL)), True)
    assert other.step(2, TRAINING, there(ALL, (), jobs=()), True) == SegmentEnd("job")


def test_a_segment_that_does_not_start_is_superseded() -> None:
    following = watch()
    assert following.step(SCHEDULE_SECONDS, None, there(ALL, jobs=()), True) == SegmentRequest()
    step = following.step(SCHEDULE_SECONDS + 1, None, there(ALL, jobs=()), True)
    assert step == SegmentEnd("not scheduled")


def test_a_returned_worker_ends_it_after_the_round_and_after_quiet() -> None:
    following = watch()
    back = {**ALL, "worker-1": "b2"}
    working = ("worker-0", "worker-2")
    assert following.step(10, TRAINING, there(back, working), True) == SegmentRequest(
        ("worker-1",), False
    )
    later = 10 + SETTLE_SECONDS
    assert following.step(later, TRAINING, there(back, working), True) == SegmentRequest(
        ("worker-1",), True
    )


def test_a_worker_that_comes_and_goes_starts_the_quiet_time_again() -> None:
    following = watch({"worker-0": "a", "worker-1": "b"})
    two = {"worker-0": "a", "worker-1": "b"}
    assert following.step(10, TRAINING, there(ALL), True) == SegmentRequest()
    assert following.step(11, TRAINING, there(two), True) == SegmentRequest()
    assert following.step(12, TRAINING, there(ALL), True) == SegmentRequest()
    assert following.step(13, TRAINING, there(ALL), True) == SegmentRequest()
    assert following.step(14, TRAINING, there(ALL), True) == SegmentRequest((), True)


def test_before_training_begins_a_join_restarts_at_once() -> None:
    following = watch({"worker-0": "a"})
    following.step(1, None, there(ALL), True)
    assert following.step(1 + SETTLE_SECONDS, None, there(ALL), True) == SegmentEnd("membership")


def test_a_worker_that_is_left_out_is_not_waited_for() -> None:
    following = SegmentMonitor("j", {"worker-0": "a"}, {"worker-0"}, submitted=0.0)
    for now in (1, 5, 9):
        assert following.step(now, TRAINING, there(ALL, ("worker-0",)), True) == SegmentRequest()
