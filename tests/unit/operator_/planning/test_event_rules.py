"""Which Events a change of the status is worth."""

from __future__ import annotations

from typing import Any

from fedjob_operator.planning.event_rules import events_of_change, server_events
from support.operator.runs import (
    published,
    ready,
    waiting,
)
from support.operator.samples import (
    a_job,
    a_status,
    observations_of,
    prepared_of,
    reporting,
    with_pod,
)


def test_steps_and_faults_are_events_once() -> None:
    job, observed = ready()
    first = published(job, observed)
    kinds = {news.reason for news in events_of_change({}, first)}
    assert {"Accepted", "WorkspaceUploaded", "ImageReady", "ServerReady"} <= kinds
    assert not list(events_of_change(first, first))
    training = published(job, reporting(observed, a_status()))
    reasons = [news.reason for news in events_of_change(first, training)]
    assert "WorkersReady" in reasons
    assert "RoundCommitted" in reasons
    broken = published(
        job, with_pod(observed, "digits-server", **waiting("ErrImagePull"), conditions=[])
    )
    (warning,) = [n for n in events_of_change(first, broken) if n.type == "Warning"]
    assert warning.reason == "ImagePullFailed"


def test_true_condition_with_a_fault_is_a_warning() -> None:
    job = a_job(workers={"gpu": 1})
    job, observed = ready(job, observations_of(job, gpus=0))
    found = {n.reason: n.type for n in events_of_change({}, published(job, observed))}
    assert found["GpuFallback"] == "Warning"


def test_hints_are_one_warning() -> None:
    job = a_job()
    hinted = prepared_of(job).model_copy(update={"hints": ["a.zip has one sample"]})
    job, observed = ready(job, observations_of(job, prepared=hinted))
    status = published(job, observed)
    (warning,) = [note for note in events_of_change({}, status) if note.type == "Warning"]
    assert (warning.reason, warning.message) == ("ProbableMistake", "a.zip has one sample")
    assert not list(events_of_change(status, status))


def test_only_new_events_of_the_server_are_forwarded() -> None:
    events: Any = [
        {"time": 1.0, "reason": "Old", "message": "a"},
        {"time": 2.0, "reason": "New", "message": "b", "type": "Warning"},
    ]
    status = a_status().model_validate({"events": events})
    assert [(t, n.reason, n.type) for t, n in server_events(status, 1.0)] == [
        (2.0, "New", "Warning")
    ]
