"""When each condition is true, with which reason and message."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedjob.protocol.server_status import RunPhase
from fedjob_operator.state.observed import Observations, Problem, Stage
from support.operator.runs import (
    condition,
    published,
    ready,
)
from support.operator.samples import (
    NOW,
    a_job,
    a_status,
    complete_status,
    observations_of,
    observed_of,
    plan_for,
    prepared_of,
    reporting,
    running,
    simulate,
    with_pod,
)


def test_transition_time_changes_only_with_the_status() -> None:
    job, observed = ready()
    first = published(job, observed)
    observed = replace(observed, body={**observed.body, "status": first})
    later = published(job, reporting(observed, a_status()), NOW + 60)
    assert condition(later, "Accepted") == condition(first, "Accepted")
    before, after = condition(first, "Training"), condition(later, "Training")
    assert before["lastTransitionTime"] != after["lastTransitionTime"]


PROBLEMS = [
    (Stage.KITS, "ServerReady"),
    (Stage.APPLY, "ServerReady"),
    (Stage.URLS, "WorkersReady"),
    (Stage.IMAGE, "ImageReady"),
]


@pytest.mark.parametrize(("stage", "kind"), PROBLEMS)
def test_failed_stage_is_shown_in_its_condition(stage: Stage, kind: str) -> None:
    job = a_job()
    problem = Problem("RegistryRefused", "no; log in", NOW + 9)
    status = published(job, observed_of(job, observations_of(job, problems={stage: problem})))
    assert condition(status, kind)["reason"] == "RegistryRefused"
    assert condition(status, kind)["message"] == "no; log in"


def test_failed_upload_is_shown() -> None:
    job = a_job()
    bare = prepared_of(job).model_copy(update={"workspace": "", "image": None})
    problem = Problem("BucketMissing", "make it", NOW + 9)
    observations = Observations(prepared=bare, problems={Stage.WORKSPACE: problem})
    status = published(job, observed_of(job, observations))
    assert (status["state"], status["reason"]) == ("Uploading", "BucketMissing")
    uploaded = prepared_of(job).model_copy(update={"image": None})
    building = published(job, observed_of(job, Observations(prepared=uploaded)))
    assert building["state"] == "Building"
    assert "image" not in building


def test_image_condition_shows_a_cache_hit() -> None:
    job = a_job()
    image = prepared_of(job).image
    assert image is not None
    hit = image.model_copy(update={"cache_hit": True})
    cached = prepared_of(job).model_copy(update={"image": hit})
    status = published(job, observed_of(job, observations_of(job, prepared=cached)))
    assert condition(status, "ImageReady")["reason"] == "CacheHit"
    assert status["image"]["cacheHit"] is True


def test_resumed_job_is_starting_not_recovering() -> None:
    """What was lost before the suspension is counted, and no longer being made good."""
    job, observed = ready()
    lost = with_pod(observed, "digits-server", **running(restarts=1, last={"exitCode": 1}))
    lost = simulate(lost, plan_for(job, lost, NOW))
    held = a_job(runPolicy={"suspend": True})
    stopped = simulate(lost, plan_for(held, lost, NOW))
    stopped = replace(
        stopped, children={k: b for k, b in stopped.children.items() if k[0] != "Pod"}
    )
    resumed = simulate(stopped, plan_for(job, stopped, NOW))
    resumed = with_pod(resumed, "digits-server-r1", **running(ready=False))
    status = published(job, resumed)
    assert status["state"] == "Starting"
    assert all(c["status"] == "False" for c in status["conditions"] if c["type"] == "Recovering")


def test_crashed_server_without_a_message() -> None:
    job, observed = ready()
    pod = running(ready=False, restarts=1, last={"exitCode": 1})
    status = published(job, with_pod(observed, "digits-server", **pod))
    assert "it left no message" in condition(status, "ServerReady")["message"]
    assert status["state"] == "Recovering"


def test_training_is_false_while_the_server_waits() -> None:
    job, observed = ready()
    status_of_server = a_status(RunPhase.WAITING, 1, message="waiting for worker-1")
    status = published(job, reporting(observed, status_of_server))
    assert condition(status, "Training")["message"] == "waiting for worker-1"
    assert status["state"] == "Starting"
    assert (
        published(job, reporting(observed, a_status(RunPhase.FINISHING, 5)))["state"] == "Training"
    )


def test_end_of_the_run_is_shown_in_every_condition() -> None:
    job, observed = ready()
    done = published(job, reporting(observed, complete_status()), NOW + 20)
    assert condition(done, "Complete")["status"] == "True"
    assert condition(done, "Training")["reason"] == "Complete"
    assert done["result"]["uri"] == "s3://jobs/model_out/m"
    assert done["report"] == "s3://jobs/jobs/team/digits/model_out/report.html"
    assert done["completionTime"] == "2027-01-15T08:00:15Z"
    gives_up = reporting(observed, a_status(RunPhase.FAILED, reason="ModelInvalid"))
    failing = plan_for(job, gives_up, NOW)
    assert failing.status is not None
    assert condition(failing.status, "Training")["reason"] == "Failing"
    failed = published(job, simulate(gives_up, failing), NOW + 500)
    assert condition(failed, "Training")["reason"] == "Failed"
    assert condition(failed, "WorkersReady")["reason"] == "Finished"


def test_hints_are_a_condition_with_one_line_each() -> None:
    job = a_job()
    plain = published(job, observed_of(job, observations_of(job)))
    assert not [c for c in plain["conditions"] if c["type"] == "Hints"]
    hinted = prepared_of(job).model_copy(update={"hints": ["a.zip has one sample", "line 3: x"]})
    status = published(job, observed_of(job, observations_of(job, prepared=hinted)))
    found = condition(status, "Hints")
    assert (found["status"], found["reason"]) == ("True", "ProbableMistake")
    assert found["message"] == "a.zip has one sample\nline 3: x"
