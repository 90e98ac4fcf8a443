"""The server's pure rules: when a round is over, what follows a failure, who is there."""

from __future__ import annotations

import json

import pytest

from fedjob.protocol.config import WorkerShard
from fedjob.protocol.server_status import ClientState
from fedjob.reasons import Reason
from fedjob_runtime.server.ipc import SegmentReport
from fedjob_runtime.server.job_process.round_policy import RoundTerms, Verdict, judge
from fedjob_runtime.server.supervisor.client_status import SeenClients, view_clients
from fedjob_runtime.server.supervisor.membership import Membership, read_membership
from fedjob_runtime.server.supervisor.retry_policy import (
    LONGEST_DELAY,
    MAX_TRIES,
    RoundTries,
    delay_before,
    judge_tries,
)
from fedjob_runtime.termination_message import termination_words

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


EXPECTED = {"worker-0": "a.zip", "worker-1": "b.zip", "worker-2": "c.zip"}


def test_a_fault_of_the_users_code_leaves_its_worker_out_at_once() -> None:
    tries = RoundTries()
    tries.note(3, "worker-1", Reason.NON_FINITE_WEIGHTS, "worker-1: fc.weight has 2 NaN")
    assert tries.left_out == {"worker-1"}
    assert judge_tries(tries, EXPECTED, 2) is None


def test_too_few_without_fault_fail_the_run_with_the_workers_words() -> None:
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
def test_what_may_pass_is_tried_a_bounded_number_of_times(reason: Reason) -> None:
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
    assert delays[-1] == LONGEST_DELAY


PUBLISHED = {
    "clients": {
        "worker-0": {"incarnation": "aa", "heard": 100.0},
        "worker-1": {"incarnation": "bb", "heard": 100.0},
        "worker-2": {"incarnation": "cc", "heard": 50.0},
    },
    "cells": ["worker-0", "worker-2", "worker-0.job-1", "worker-2.job-1", "server.job-1"],
    "jobs": ["job-1"],
}


def test_row_15_only_connected_clients_that_were_heard_count() -> None:
    membership = read_membership(PUBLISHED, now=105.0, silence=30.0)
    assert membership.clients == {"worker-0": "aa"}
    assert membership.job_cells("job-1") == {"worker-0", "worker-2", "server"}
    assert read_membership(PUBLISHED, now=105.0, silence=60.0).clients == {
        "worker-0": "aa",
        "worker-2": "cc",
    }


def test_before_the_parent_is_up_nobody_is_there() -> None:
    assert read_membership(None, 0, 1) == Membership()


def test_a_new_registration_counts_as_a_restart() -> None:
    seen = SeenClients()
    assert seen.note(Membership({"worker-0": "aa"})) == []
    assert seen.note(Membership({"worker-0": "aa"})) == []
    assert seen.note(Membership({"worker-0": "bb"})) == ["worker-0"]
    assert seen.restarts == {"worker-0": 1}


def test_views_say_what_each_worker_does() -> None:
    workers = [WorkerShard(name=name, shard=shard) for name, shard in EXPECTED.items()]
    seen = SeenClients()
    seen.note(Membership({"worker-0": "a", "worker-1": "b", "worker-2": "c"}))
    now = Membership({"worker-0": "a", "worker-1": "b"}, {"worker-0": 5.0})
    report = SegmentReport(
        1,
        "training",
        2,
        {"worker-0": 7},
        {"worker-1": {"reason": "TrainingFailed", "message": "m"}},
    )
    views = view_clients(workers, now, seen, report, {})
    assert [view.state for view in views] == [
        ClientState.ANSWERED,
        ClientState.FAILED,
        ClientState.LOST,
    ]
    assert views[1].message == "m"
    assert views[0].last_heartbeat == 5.0
    idle = view_clients(workers, now, SeenClients(), None, {})
    assert [view.state for view in idle] == [
        ClientState.CONNECTED,
        ClientState.CONNECTED,
        ClientState.EXPECTED,
    ]


@pytest.mark.parametrize("length", [10, 50_000])
def test_a_pods_last_words_fit_what_the_kubelet_keeps(length: int) -> None:
    words = termination_words("Failed", "ModelInvalid", "\u00e4" * length)
    assert len(words.encode()) <= 4096
    read = json.loads(words)
    assert (read["phase"], read["reason"]) == ("Failed", "ModelInvalid")
    assert read["message"]
