"""What every reader of a server's status computes from it in the same way."""

import pytest

from fedjob.formats import epoch
from fedjob.protocol.commit import Commit, RoundTimes
from fedjob.protocol.server_status import ClientState, ClientView, RunPhase, ServerStatus


def commit(number, seconds, ended="2026-01-02T03:04:05Z"):
    times = RoundTimes(total=seconds)
    return Commit(
        round=number, attempt=1, sha256="0" * 64, size=1, times=times, started=ended, ended=ended
    )


def training(history, completed=2):
    return ServerStatus(phase=RunPhase.TRAINING, completed=completed, total=5, history=history)


def test_connected_workers_are_those_that_answer():
    clients = [ClientView(name=str(state), shard="a.zip", state=state) for state in ClientState]
    assert ServerStatus(clients=clients).connected == {"Connected", "Training", "Answered"}


def test_expected_end_is_the_last_commit_and_the_rounds_left_at_the_recent_pace():
    slow = [commit(number, 1000.0) for number in range(3)]
    recent = [commit(number, seconds) for number, seconds in enumerate([10, 20, 30, 20, 20], 3)]
    end = training([*slow, *recent]).expected_end(5)
    assert end == epoch("2026-01-02T03:04:05Z") + 3 * 20.0


@pytest.mark.parametrize(
    "status",
    [
        training([]),
        training([commit(1, 1.0)], completed=5),
        training([commit(1, 1.0, ended="?")]),
        ServerStatus(phase=RunPhase.FINISHING, history=[commit(1, 1.0)]),
    ],
)
def test_end_that_cannot_be_expected_yet(status):
    assert status.expected_end(5) is None
