"""Statuses and Events are written when they change, and no more often than needed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fedjob_operator.controller.status_writer import StatusWriter
from fedjob_operator.kube.client import ApiError
from fedjob_operator.kube.event_recorder import EventWriter
from fedjob_operator.naming import Body
from fedjob_operator.state.actions import Actions, EventNote
from fedjob_operator.state.cache import Cache
from fedjob_operator.state.observed import ServerView
from support.operator.memory_cluster import MemoryCluster
from support.operator.samples import DEFAULTS, a_job, a_status, resource

KEY = ("team", "digits")
PENDING: Body = {"state": "Pending"}
ROUND: Body = {"state": "Training", "rounds": {"completed": 1, "display": "1/5"}}


class Bench:
    """A status writer with an API server in memory, at a time that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.cluster, self.cache = MemoryCluster(resource(a_job())), Cache(DEFAULTS)
        self.cache.saw_job(self.body)
        cluster: Any = self.cluster
        events = EventWriter(cluster, now=lambda: self.now)
        self.writer = StatusWriter(cluster, self.cache, events, clock=lambda: self.now)

    @property
    def body(self) -> Body:
        return self.cluster.objects["FederatedJob", "digits"]

    def write(self, status: Body | None) -> float | None:
        return asyncio.run(self.writer.write(KEY, self.body, status))

    def write_events(self, *events: EventNote) -> None:
        asyncio.run(self.writer.write_events(KEY, self.body, Actions(events=events)))


def test_status_that_differs_is_written_and_cached() -> None:
    bench = Bench()
    assert bench.write(PENDING) is None
    assert bench.body["status"] == PENDING
    assert bench.cache.job(KEY) == bench.body


@pytest.mark.parametrize("status", [None, PENDING])
def test_absent_or_equal_status_is_not_written(status: Body | None) -> None:
    bench = Bench()
    bench.write(PENDING)
    bench.cluster.calls.clear()
    assert bench.write(status) is None
    assert bench.cluster.calls == []


def test_progress_waits_for_its_interval() -> None:
    bench = Bench()
    bench.write(ROUND)
    bench.now += 0.5
    later = {**ROUND, "rounds": {"completed": 2, "display": "2/5"}}
    assert bench.write(later) == 1.5
    assert bench.body["status"] == ROUND
    bench.now += 1.5
    assert bench.write(later) is None
    assert bench.body["status"] == later
    bench.writer.forget(KEY)
    assert bench.write(ROUND) is None, "a job of the same name has its own interval"


def test_events_of_a_change_follow_the_status() -> None:
    bench = Bench()
    bench.write(ROUND)
    assert bench.cluster.calls[0] == "status FederatedJob digits"
    (name,) = bench.cluster.of_kind("Event")
    event = bench.cluster.objects["Event", name]
    assert (event["reason"], event["message"]) == ("RoundCommitted", "round 1/5")


@pytest.mark.parametrize("successor", [False, True])
def test_status_of_a_job_that_is_gone_drops_it(*, successor: bool) -> None:
    bench = Bench()
    stale = bench.body
    del bench.cluster.objects["FederatedJob", "digits"]
    if successor:
        reborn = resource(a_job())
        reborn["metadata"]["uid"] = "reborn"
        bench.cluster.put(reborn)
    with pytest.raises(ApiError):
        asyncio.run(bench.writer.write(KEY, stale, PENDING))
    known = bench.cache.job(KEY)
    assert (known is not None and known["metadata"]["uid"] == "reborn") is successor


def test_refused_status_is_not_read_again() -> None:
    bench = Bench()
    error = ApiError("PATCH /status", 422, "Invalid", "no")
    bench.cluster.errors["status FederatedJob digits"] = error
    with pytest.raises(ApiError):
        bench.write(PENDING)
    assert bench.cluster.calls == ["status FederatedJob digits"]


def test_events_of_the_server_are_forwarded_once() -> None:
    bench = Bench()
    bench.write_events(EventNote("Warning", "Recovering", "worker-0"))
    events: Any = [{"time": 5.0, "reason": "A", "message": "a"}]
    bench.cache.learn(KEY, server=ServerView(pod="u", status=a_status(events=events)))
    bench.write_events()
    events += [{"time": 6.0, "reason": "B", "message": "b"}]
    bench.cache.learn(KEY, server=ServerView(pod="u", status=a_status(events=events)))
    bench.write_events()
    bench.now += 600  # repeated events are written again by now
    bench.write_events()
    reasons = [bench.cluster.objects["Event", n]["reason"] for n in bench.cluster.of_kind("Event")]
    assert sorted(reasons) == ["A", "B", "Recovering"]
    assert len(bench.cluster.calls) == 3
