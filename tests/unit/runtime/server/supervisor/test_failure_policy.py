"""What follows a round that fell short, or a job process that ended."""

from __future__ import annotations

import pytest

from fedjob.protocol.commit import ClientFailure
from fedjob.reasons import Reason
from fedjob_runtime.server.supervisor.failure_policy import (
    BACKOFF,
    MAX_TRIES,
    RoundTries,
    delay_before,
    judge_tries,
)
from support.supervised_run import commit_of

EXPECTED = {"worker-0": "a.zip", "worker-1": "b.zip", "worker-2": "c.zip"}


def test_a_fault_of_the_users_code_leaves_its_worker_out_at_once() -> None:
    tries = RoundTries()
    tries.note(3, "worker-1", Reason.NON_FINITE_WEIGHTS, "worker-1: fc.weight has 2 NaN")
    assert tries.left_out == {"worker-1"}
    assert judge_tries(tries, EXPECTED, 2) is None


def test_too_few_workers_without_fault_fail_the_run_with_their_messages() -> None:
    tries = RoundTries()
    tries.note(3, "worker-1", Reason.NON_FINITE_WEIGHTS, "worker-1: fc.weight has 2 NaN")
    tries.note(3, "worker-2", Reason.TRAINING_FAILED, "worker-2: KeyError")
    failure = judge_tries(tries, EXPECTED, 2)
    assert failure is not None
    assert failure.reason == Reason.NON_FINITE_WEIGHTS
    assert failure.message.splitlines() == [
        "round 3 cannot reach minClients 2: 2 of 3 workers failed it",
        "worker-1: fc.weight has 2 NaN",
        "worker-2: KeyError",
    ]


@pytest.mark.parametrize("reason", [Reason.TRAINING_TIMEOUT, Reason.WORKER_EXITED])
def test_transient_failure_is_tried_a_bounded_number_of_times(reason: Reason) -> None:
    tries = RoundTries()
    for count in range(1, MAX_TRIES + 1):
        assert tries.left_out == frozenset()
        tries.note(1, "worker-0", reason, f"try {count}")
    assert tries.left_out == {"worker-0"}
    failure = judge_tries(tries, EXPECTED, 3)
    assert failure is not None
    assert failure.reason == reason


def test_a_new_round_forgets_what_went_wrong() -> None:
    tries = RoundTries()
    tries.note(1, "worker-0", Reason.TRAINING_FAILED, "x")
    tries.note(2, "worker-1", Reason.WORKER_EXITED, "y")
    assert set(tries.faults) == {"worker-1"}
    assert tries.left_out == frozenset()


def test_backoff_grows_and_is_bounded() -> None:
    delays = [delay_before(count) for count in range(20)]
    assert delays[0] == 0
    assert delays == sorted(delays)
    assert delays[-1] == BACKOFF.longest


def test_timeouts_of_committed_rounds_add_up() -> None:
    """They were forgotten with each commit: a hung worker cost roundTimeout in every round."""
    tries = RoundTries()
    late = ClientFailure(name="worker-1", reason=Reason.TRAINING_TIMEOUT, message="late")
    for number in range(1, MAX_TRIES + 1):
        assert tries.left_out == frozenset()
        tries.committed(commit_of(number, failures=[late]))
        tries.note(number, "worker-1", Reason.TRAINING_TIMEOUT, "late")
    assert tries.left_out == {"worker-1"}
    tries.committed(commit_of(MAX_TRIES + 1))
    assert tries.left_out == frozenset()
