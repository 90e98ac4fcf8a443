"""The status of a job in a cluster as the one type of both engines."""

from datetime import UTC, datetime

from fedjob.engines.run_status import RunStatus, status_of_job
from fedjob.spec import FederatedJob
from fedjob.spec.models.status import JobState

JOB = {
    "apiVersion": "fedjob.dev/v1alpha1",
    "kind": "FederatedJob",
    "metadata": {"name": "digits", "namespace": "team"},
    "spec": {"model": {"source": {"inline": "x = 1"}}, "federation": {"numRounds": 3}},
}
STATUS = {
    "state": "Training",
    "message": "round 2 of 3",
    "attempt": 1,
    "rounds": {"completed": 1, "total": 3, "display": "1/3"},
    "history": [
        {"round": 0, "metrics": {"val_loss": 2.0}},
        {"round": 1, "clients": 2, "samples": 30, "metrics": {"loss": 0.5}, "seconds": 4.0},
    ],
    "clients": {
        "expected": 2,
        "connected": 1,
        "list": [
            {
                "name": "worker-0",
                "shard": "a.zip",
                "state": "Training",
                "restarts": 1,
                "restartCauses": {"Evicted": 1},
                "lastHeartbeat": "2026-01-02T03:04:05Z",
                "samples": 30,
            },
            {"name": "worker-1", "message": "no node offers a GPU"},
        ],
    },
    "metrics": {"loss": 0.5, "val_accuracy": 0.91234},
    "retries": {"s3": 2},
    "eta": "2026-01-02T04:00:00Z",
    "startTime": "2026-01-02T03:00:00Z",
    "report": "s3://b/jobs/team/digits/model_out/report.html",
}


def status(**changes):
    return status_of_job(FederatedJob.model_validate({**JOB, "status": STATUS | changes}))


def test_job_without_an_operator_is_pending():
    found = status_of_job(FederatedJob.model_validate(JOB))
    assert found == RunStatus(name="digits", namespace="team", state=JobState.PENDING, total=3)
    assert found.rounds_text == "0/3"
    assert not found.ended


def test_every_field_of_a_running_job():
    found = status()
    assert (found.state, found.rounds_text, found.clients_text) == ("Training", "1/3", "1/2")
    first, second = found.clients
    assert first.last_heartbeat == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert (first.shard, first.restarts, first.restart_causes) == ("a.zip", 1, {"Evicted": 1})
    assert (second.state, second.message) == ("Expected", "no node offers a GPU")
    assert [line.round for line in found.history] == [1], "round 0 is the initial model"
    assert (found.history[0].clients, found.history[0].samples) == (2, 30)
    assert found.eta == datetime(2026, 1, 2, 4, tzinfo=UTC)
    assert found.start_time == datetime(2026, 1, 2, 3, tzinfo=UTC)
    assert found.completion_time is None
    assert found.retries == {"s3": 2}
    assert found.metric_text == "val_accuracy 0.9123"
    assert found.summary == ("Training, round 1/3, clients 1/2, val_accuracy 0.9123: round 2 of 3")


def test_job_that_ended():
    model = {"uri": "s3://b/m.safetensors", "sha256": "0" * 64, "size": 8}
    done = status(state="Complete", message="", result=model)
    assert done.ended
    assert done.result.uri == "s3://b/m.safetensors"
    failed = status(state="Failed", reason="OutOfMemory", message="reduce batch_size")
    assert failed.ended
    assert failed.summary.endswith(": OutOfMemory: reduce batch_size")


def test_status_is_json_and_back():
    found = status()
    assert RunStatus.model_validate_json(found.model_dump_json(by_alias=True)) == found
