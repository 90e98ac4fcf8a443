"""The lifecycle of a job in steps, and fleets of jobs that go through the steps together.

Where a pod has to end, the test acts as the kubelet.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from e2e.faults.api_faults import Script
from e2e.faults.fault_testbed import FaultTestbed
from e2e.faults.job_snapshot import Body
from fedjob.protocol.commit import Commit
from fedjob.storage.layout import Layout

IDLE = 0.6
"""Seconds without a call or an event of any job after which the snapshots are compared."""
PATIENCE = 300.0


@dataclass(frozen=True)
class Step:
    """Something that happens to a job.

    Attributes:
        name: The step's name.
        act: Performs the step on a job.
        is_done: Whether a snapshot may be that of a job after the step.
    """

    name: str
    act: Callable[[FaultTestbed, str], Awaitable[None]]
    is_done: Callable[[Body], bool]


async def delete_children(testbed: FaultTestbed, job: str) -> None:
    """Deletes one child of each kind that the operator must create again."""
    for kind, name in (
        ("services", f"{job}-server"),
        ("secrets", f"{job}-store"),
        ("networkpolicies", f"{job}-worker"),
        ("configmaps", f"{job}-config"),
    ):
        await testbed.ask("DELETE", testbed.path(kind, name))


async def delete_worker_pod(testbed: FaultTestbed, job: str) -> None:
    """Deletes the worker's pod."""
    for name in await testbed.pods(job):
        if "worker" in name:
            await testbed.ask("DELETE", testbed.path("pods", name))


async def finish(testbed: FaultTestbed, job: str) -> None:
    """Acts as kubelet and server: the round log is in the store and all pods have succeeded."""
    layout, ended = Layout(testbed.namespace, job), "2026-01-01T00:00:00Z"
    digest = hashlib.sha256(b"m").hexdigest()
    commit = Commit(round=1, attempt=1, sha256=digest, size=1, started=ended, ended=ended)
    body = commit.model_dump_json(by_alias=True).encode()
    key = layout.under(layout.model_out, "model.safetensors")
    await asyncio.to_thread(testbed.deployment.bucket.put_bytes, layout.commit(1), body)
    await asyncio.to_thread(testbed.deployment.bucket.put_bytes, key, b"m")
    state = {"terminated": {"exitCode": 0, "finishedAt": ended}}
    container = {
        "name": "fedjob", "image": "", "imageID": "", "ready": False, "restartCount": 0,
        "state": state,
    }  # fmt: skip
    status = {"phase": "Succeeded", "containerStatuses": [container]}
    # The server last: the operator deletes workers that outlive it.
    for name in sorted(await testbed.pods(job), reverse=True):
        await testbed.ask("PATCH", f"{testbed.path('pods', name)}/status", {"status": status})


MORE = {"resources": {"requests": {"cpu": "9m"}}}


def waits_for_a_node(snapshot: Body) -> bool:
    """All children exist, and the scheduler has reported both pods as unschedulable."""
    if not snapshot:
        return False
    children, status = snapshot["objects"]["children"], snapshot["objects"]["status"] or {}
    reasons = {c["type"]: c["reason"] for c in status.get("conditions", [])}
    counts = {kind: len(items) for kind, items in children.items()}
    ready = {reasons.get("ServerReady"), reasons.get("WorkersReady")}
    wanted = {"pods": 2, "secrets": 5, "configmaps": 2, "services": 1, "networkpolicies": 2}
    return counts == wanted and ready == {"Unschedulable"}


def has_restarted(snapshot: Body) -> bool:
    """The worker's restart is counted."""
    if not waits_for_a_node(snapshot):
        return False
    return bool(snapshot["objects"]["status"]["clients"]["list"][0]["restarts"])


def has_changed(snapshot: Body) -> bool:
    """The worker's pod has been replaced by one with the new resources."""
    if not waits_for_a_node(snapshot):
        return False
    worker = snapshot["objects"]["children"]["pods"][1]
    return bool(worker["spec"]["containers"][0]["resources"]["requests"]["cpu"] == "9m")


def is_in(state: str) -> Callable[[Body], bool]:
    """A check that the status reports this state."""
    return lambda p: bool(p) and (p["objects"]["status"] or {}).get("state") == state


STEPS = (
    Step("create", FaultTestbed.create, waits_for_a_node),
    Step("delete children", delete_children, waits_for_a_node),
    Step("delete worker pod", delete_worker_pod, has_restarted),
    Step("suspend", lambda g, j: g.change(j, runPolicy={"suspend": True}), is_in("Suspended")),
    Step("resume", lambda g, j: g.change(j, runPolicy={"suspend": False}), waits_for_a_node),
    Step("change", lambda g, j: g.change(j, workers=MORE), has_changed),
    Step("finish", finish, is_in("Complete")),
)
EXPIRE = Step(
    "expire",
    lambda g, j: g.change(j, runPolicy={"ttlSecondsAfterFinished": 1}),
    lambda snapshot: not snapshot,
)
"""The operator deletes the finished job."""


class Fleet:
    """Jobs that go through the same steps together, each with its own fault.

    Args:
        testbed: Where the jobs are.
        script: Decides the faults.
        jobs: Names of the jobs.
    """

    def __init__(self, testbed: FaultTestbed, script: Script, jobs: list[str]) -> None:
        self.testbed, self.script, self.jobs = testbed, script, jobs

    async def act(self, step: Step) -> None:
        """Performs a step on all jobs."""
        await asyncio.gather(*(step.act(self.testbed, job) for job in self.jobs))

    async def wait(self, golden: Body, *, or_struck: bool = False) -> dict[str, Body]:
        """Waits until every job matches; the snapshots of those that never did.

        Args:
            golden: The snapshot that every job should reach.
            or_struck: A job that met its fault need not match yet.
        """
        deadline = time.monotonic() + PATIENCE
        while True:
            await self.quiet(deadline)
            there = await self.testbed.snapshots()
            wrong = {
                job: there.get(job, {})
                for job in self.jobs
                if there.get(job, {}) != golden
                and not (or_struck and self.script.tracks[job].struck)
            }
            if not wrong or time.monotonic() > deadline:
                return wrong

    async def settle(self, step: Step) -> dict[str, Body]:
        """The snapshots once the step is done and the operator is idle."""
        deadline = time.monotonic() + PATIENCE
        while True:
            await self.quiet(deadline)
            there = await self.testbed.snapshots()
            found = {job: there.get(job, {}) for job in self.jobs}
            done = all(step.is_done(snapshot) for snapshot in found.values())
            if done and not self.testbed.is_busy():
                return found
            assert time.monotonic() < deadline, found

    async def quiet(self, deadline: float, seconds: float = IDLE) -> None:
        """Waits until no call or event has occurred for `seconds`."""
        seen, since = -1, 0.0
        while True:
            now = time.monotonic()
            if self.script.activity != seen:
                seen, since = self.script.activity, now
            if now > deadline or now - since >= seconds:
                return
            self.testbed.check_operators()
            await asyncio.sleep(0.1)
