"""Status and result of a run from a FederatedJob."""

from fedjob.engines.kubernetes.resource import parse
from fedjob.engines.kubernetes.run_values import result_of, status_of
from fedjob.engines.result import RunState


def job(generation=1, spec=None, **status):
    meta = {"name": "digits", "namespace": "team", "generation": generation,
            "creationTimestamp": "2026-01-01T00:00:00Z"}  # fmt: skip
    return parse({"metadata": meta, "spec": spec or {}, "status": status})


def test_rounds_come_from_the_spec_before_the_operator_reports_them():
    assert status_of(job()).total == 5
    assert status_of(job(spec={"federation": {"numRounds": 9}})).total == 9


def test_running_status_of_an_earlier_spec_is_shown():
    found = status_of(job(2, state="Training", observedGeneration=1))
    assert found.state == "Training"


def test_result_counts_restarts_of_server_and_workers():
    found = result_of(
        job(
            state="Complete",
            observedGeneration=1,
            server={"restarts": 1},
            clients={"list": [{"name": "worker-0", "restarts": 0}, {"name": "worker-1",
                                                                  "restarts": 3}]},
            startTime="2026-01-01T00:00:10Z",
            completionTime="2026-01-01T00:01:00Z",
            message="done",
        )
    )  # fmt: skip
    assert found.restarts == {"server": 1, "worker-1": 3}
    assert (found.state, found.seconds, found.message) == (RunState.COMPLETE, 50, "")
