"""The status of a local run, live and from its folder."""

import math
from datetime import UTC, datetime

import pytest

from fedjob.engines.local.record import RunRecord
from fedjob.engines.local.results.report_files import note_commits, note_facts
from fedjob.engines.local.run_folder import RunFolder
from fedjob.engines.local.status import events_of, folder_status, live_status, name_of
from fedjob.engines.result import ModelFile, RunResult, RunState
from fedjob.protocol.commit import Commit, Participant, RoundTimes
from fedjob.protocol.server_status import (
    ClientState,
    ClientView,
    RunEvent,
    RunPhase,
    ServerStatus,
)
from fedjob.report import JobFacts

RECORD = RunRecord(
    num_rounds=3,
    identity={"metadata.name": '"digits"', "metadata.namespace": '"team"'},
)


def commit(number, loss=0.5):
    return Commit(
        round=number,
        attempt=2,
        sha256="0" * 64,
        size=1,
        participants=[Participant(name="worker-0", samples=5)] if number else [],
        metrics={"loss": loss},
        times=RoundTimes(total=10.0),
        started=f"2026-01-02T03:0{number}:00Z",
        ended=f"2026-01-02T03:0{number}:10Z",
    )


@pytest.fixture
def folder(tmp_path):
    folder = RunFolder.at(tmp_path)
    folder.state.mkdir()
    return folder


def test_name_of_a_record_of_the_run():
    assert name_of(RECORD) == ("digits", "team")


def test_live_status_is_the_servers(folder):
    note_commits(folder, [commit(0)])
    server = ServerStatus(
        attempt=2,
        phase=RunPhase.TRAINING,
        completed=2,
        total=3,
        current=3,
        clients=[
            ClientView(name="worker-0", shard="a.zip", state=ClientState.TRAINING,
                       last_heartbeat=0.0, samples=5),
            ClientView(name="worker-1", shard="b.zip", state=ClientState.LOST, message="silent"),
        ],
        history=[commit(1), commit(2).model_copy(update={"metrics": {"loss": math.inf}})],
        retries={"grpc": 1},
    )  # fmt: skip
    found = live_status(server, folder, RECORD)
    assert (found.name, found.namespace, found.state) == ("digits", "team", "Training")
    assert (found.rounds_text, found.clients_text, found.current) == ("2/3", "1/2", 3)
    assert found.metrics == {"loss": None}, "what is not finite is null, as in result.json"
    assert [line.samples for line in found.history] == [5, 5]
    assert found.clients[0].last_heartbeat == datetime(1970, 1, 1, tzinfo=UTC)
    assert found.clients[1].message == "silent"
    assert found.eta == datetime(2026, 1, 2, 3, 2, 20, tzinfo=UTC), "one round of 10 s is left"
    assert found.start_time == datetime(2026, 1, 2, 3, 0, tzinfo=UTC)
    assert found.retries == {"grpc": 1}


def test_server_that_has_just_started_takes_no_round_back(folder):
    note_commits(folder, [commit(0), commit(1)])
    found = live_status(ServerStatus(phase=RunPhase.STARTING), folder, RECORD)
    assert found.rounds_text == "1/3"


def test_run_is_complete_only_when_it_is_delivered(folder):
    server = ServerStatus(phase=RunPhase.COMPLETE, completed=3, total=3)
    assert live_status(server, folder, RECORD).state == "Training"


def test_folder_of_a_run_that_starts_stops_and_ends(folder):
    RECORD.write(folder.record)
    starting = folder_status(folder, RECORD, running=True)
    assert (starting.state, starting.rounds_text) == ("Starting", "0/3")
    assert starting.start_time is not None
    shards = {"worker-0": "a.zip"}
    note_facts(folder, JobFacts(name="digits", state="Running", total_rounds=3, shards=shards))
    note_commits(folder, [commit(0), commit(1)])
    stopped = folder_status(folder, RECORD, running=False)
    assert (stopped.state, stopped.rounds_text, stopped.attempt) == ("Suspended", "1/3", 2)
    assert [(client.name, client.shard) for client in stopped.clients] == [("worker-0", "a.zip")]
    assert "resume" in stopped.message
    folder.report.touch()
    seen = ServerStatus(clients=[ClientView(name="worker-0", shard="a.zip", state="Answered")])
    folder.server_status.parent.mkdir(parents=True)
    folder.server_status.write_text(seen.model_dump_json(by_alias=True))
    model = ModelFile(uri="file:///m", sha256="0" * 64, size=1)
    RunResult(name="digits", namespace="team", state=RunState.COMPLETE, model=model).write(
        folder.result
    )
    done = folder_status(folder, RECORD, running=False)
    assert (done.state, done.result) == ("Complete", model)
    assert (done.clients_text, done.clients[0].state) == ("1/1", "Answered")
    assert done.report == folder.report.as_uri()
    assert done.completion_time is not None


def test_failed_run_has_its_reason(folder):
    RunResult(
        name="digits", namespace="team", state=RunState.FAILED, reason="OutOfMemory", message="m"
    ).write(folder.result)
    found = folder_status(folder, RECORD, running=False)
    assert (found.state, found.reason, found.message) == ("Failed", "OutOfMemory", "m")


def test_events_keep_their_order_and_time():
    event = RunEvent(time=1.0, type="Warning", reason="WorkerLost", message="worker-1 is silent")
    (found,) = events_of(ServerStatus(events=[event]))
    assert (found.type, found.reason, found.about) == ("Warning", "WorkerLost", "server")
    assert found.time == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
