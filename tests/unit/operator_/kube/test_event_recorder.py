"""Events of a job."""

from __future__ import annotations

from fedjob_operator.kube.event_recorder import event_body, event_name
from fedjob_operator.state.actions import EventNote
from support.operator_samples import (
    NOW,
    UID,
    a_job,
    observed_of,
)


def test_same_text_about_a_job_is_one_event() -> None:
    job = observed_of(a_job()).body
    note = EventNote("Warning", "BucketMissing", "m" * 5000)
    body = event_body(job, note, 3, NOW, NOW + 60)
    assert body["metadata"]["name"] == event_name(job, note)
    assert event_name(job, EventNote("Normal", "BucketMissing", "m")) != event_name(job, note)
    assert len(body["message"]) <= 1024
    assert (body["count"], body["involvedObject"]["uid"]) == (3, UID)
