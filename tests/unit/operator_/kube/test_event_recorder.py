"""Events of a job."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fedjob.formats import rfc3339
from fedjob_operator.kube import event_recorder as module
from fedjob_operator.kube.client import ApiError
from fedjob_operator.kube.event_recorder import EventWriter, event_body, event_name
from fedjob_operator.state.actions import EventNote
from support.operator.memory_cluster import MemoryCluster
from support.operator.samples import (
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


NOTE = EventNote("Normal", "RoundCommitted", "round 1/5")


def test_repeated_event_is_written_once_a_minute_with_its_count() -> None:
    cluster: Any = MemoryCluster()
    moments = iter([NOW, NOW + 59, NOW + 60])
    writer = EventWriter(cluster, now=lambda: next(moments))
    job = observed_of(a_job()).body
    for _ in range(3):
        asyncio.run(writer.write(job, NOTE))
    (event,) = (body for (kind, _), body in cluster.objects.items() if kind == "Event")
    assert event["count"] == 2
    assert event["firstTimestamp"] == rfc3339(NOW)
    assert event["lastTimestamp"] == rfc3339(NOW + 60)
    assert len(cluster.calls) == 2


def test_event_that_cannot_be_written_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    cluster: Any = MemoryCluster()
    job = observed_of(a_job()).body
    call = f"apply Event {event_name(job, NOTE)}"
    cluster.errors[call] = ApiError("PATCH /events", 403, "Forbidden", "no")
    asyncio.run(EventWriter(cluster, now=lambda: NOW).write(job, NOTE))
    assert "403 Forbidden" in caplog.text
    assert cluster.objects == {}


def test_only_so_many_counts_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_KEPT", 1)
    cluster: Any = MemoryCluster()
    writer = EventWriter(cluster, now=lambda: NOW)
    job = observed_of(a_job()).body
    for note in (NOTE, EventNote("Normal", "Other", "text"), NOTE):
        asyncio.run(writer.write(job, note))
    assert len(cluster.calls) == 3, "the count of the first was dropped"
