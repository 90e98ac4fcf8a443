"""The workers as the server shows them, and what it waits for."""

from __future__ import annotations

import pytest

from fedjob.protocol.config import WorkerShard
from fedjob.protocol.server_status import ClientState
from fedjob_runtime.server.ipc import SegmentReport
from fedjob_runtime.server.supervisor.client_status import (
    SeenClients,
    view_clients,
    waiting_message,
)
from fedjob_runtime.server.supervisor.membership import Membership

SINCE = 1_800_000_000.4


@pytest.mark.parametrize(
    ("until", "deadline", "end"),
    [
        (SINCE + 30, None, "continues without the missing at 2027-01-15T08:00:30Z at the latest"),
        (None, 900, "until the job's activeDeadlineSeconds (900) are over"),
        (None, None, "without a limit; spec.runPolicy.activeDeadlineSeconds sets one"),
    ],
)
def test_message_names_the_missing_since_when_and_for_how_long(
    until: float | None, deadline: int | None, end: str
) -> None:
    message = waiting_message(
        ["worker-1", "worker-2"],
        connected=1,
        everyone=3,
        need=2,
        since=SINCE,
        until=until,
        deadline=deadline,
    )
    assert message.startswith("waiting for worker-1, worker-2 since 2027-01-15T08:00:00Z (1 of 3 ")
    assert "2 needed" in message
    assert message.endswith(end)


def test_many_missing_workers_are_counted() -> None:
    message = waiting_message(
        [f"worker-{i}" for i in range(250)],
        connected=6,
        everyone=256,
        need=256,
        since=SINCE,
        until=None,
        deadline=None,
    )
    assert "worker-9 and 240 more" in message
    assert len(message) < 400


SHARDS = {"worker-0": "a.zip", "worker-1": "b.zip", "worker-2": "c.zip"}


def test_a_new_registration_counts_as_a_restart() -> None:
    seen = SeenClients()
    assert seen.note(Membership({"worker-0": "aa"})) == []
    assert seen.note(Membership({"worker-0": "aa"})) == []
    assert seen.note(Membership({"worker-0": "bb"})) == ["worker-0"]
    assert seen.restarts == {"worker-0": 1}


def test_views_show_what_each_worker_does() -> None:
    workers = [WorkerShard(name=name, shard=shard) for name, shard in SHARDS.items()]
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
