"""The life of a job in steps, and jobs that go through it side by side.

The test plays the kubelet where a pod has to end.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from e2e.api_faults import Script
from e2e.fault_ground import Ground
from e2e.fault_portrait import Body
from fedjob.protocol.commit import Commit
from fedjob.storage.layout import Layout

IDLE = 0.6
"""Seconds without a call or an event of any job, after which it is worth a look."""
PATIENCE = 300.0


@dataclass(frozen=True)
class Step:
    """Something that happens to a job.

    Attributes:
        name: Of the step.
        act: Does it to a job.
        is_done: Whether a portrait may be that of a job after it.
    """

    name: str
    act: Callable[[Ground, str], Awaitable[None]]
    is_done: Callable[[Body], bool]


async def rob(ground: Ground, job: str) -> None:
    """Deletes what is the operator's."""
    for kind, name in (
        ("services", f"{job}-server"),
        ("secrets", f"{job}-store"),
        ("networkpolicies", f"{job}-worker"),
        ("configmaps", f"{job}-config"),
    ):
        await ground.ask("DELETE", ground.path(kind, name))


async def lose(ground: Ground, job: str) -> None:
    """Deletes the pod of the worker."""
    for name in await ground.pods(job):
        if "worker" in name:
            await ground.ask("DELETE", ground.path("pods", name))


async def finish(ground: Ground, job: str) -> None:
    """Plays kubelet and server: the run is over, its log of rounds is in the store."""
    layout, ended = Layout(ground.namespace, job), "2026-01-01T00:00:00Z"
    digest = hashlib.sha256(b"m").hexdigest()
    commit = Commit(round=1, attempt=1, sha256=digest, size=1, started=ended, ended=ended)
    body = commit.model_dump_json(by_alias=True).encode()
    key = layout.under(layout.model_out, "model.safetensors")
    await asyncio.to_thread(ground.stage.bucket.put_bytes, layout.commit(1), body)
    await asyncio.to_thread(ground.stage.bucket.put_bytes, key, b"m")
    state = {"terminated": {"exitCode": 0, "finishedAt": ended}}
    container = {
        "name": "fedjob", "image": "", "imageID": "", "ready": False, "restartCount": 0,
        "state": state,
    }  # fmt: skip
    status = {"phase": "Succeeded", "containerStatuses": [container]}
    # The server last: once it has ended, a worker that runs on is deleted.
    for name in sorted(await ground.pods(job), reverse=True):
        await ground.ask("PATCH", f"{ground.path('pods', name)}/status", {"status": status})


MORE = {"resources": {"requests": {"cpu": "9m"}}}


def waits_for_a_node(portrait: Body) -> bool:
    """All is there, and no node takes the pods, as the scheduler has told of each of them."""
    if not portrait:
        return False
    children, status = portrait["objects"]["children"], portrait["objects"]["status"] or {}
    reasons = {c["type"]: c["reason"] for c in status.get("conditions", [])}
    counts = {kind: len(items) for kind, items in children.items()}
    ready = {reasons.get("ServerReady"), reasons.get("WorkersReady")}
    wanted = {"pods": 2, "secrets": 5, "configmaps": 2, "services": 1, "networkpolicies": 2}
    return counts == wanted and ready == {"Unschedulable"}


def has_lost(portrait: Body) -> bool:
    """A restart is counted."""
    if not waits_for_a_node(portrait):
        return False
    return bool(portrait["objects"]["status"]["clients"]["list"][0]["restarts"])


def has_changed(portrait: Body) -> bool:
    """The worker's pod is another one."""
    if not waits_for_a_node(portrait):
        return False
    worker = portrait["objects"]["children"]["pods"][1]
    return bool(worker["spec"]["containers"][0]["resources"]["requests"]["cpu"] == "9m")


def is_in(state: str) -> Callable[[Body], bool]:
    """Whether the state is told."""
    return lambda p: bool(p) and (p["objects"]["status"] or {}).get("state") == state


STEPS = (
    Step("create", Ground.create, waits_for_a_node),
    Step("rob", rob, waits_for_a_node),
    Step("lose a worker", lose, has_lost),
    Step("suspend", lambda g, j: g.change(j, runPolicy={"suspend": True}), is_in("Suspended")),
    Step("resume", lambda g, j: g.change(j, runPolicy={"suspend": False}), waits_for_a_node),
    Step("change", lambda g, j: g.change(j, workers=MORE), has_changed),
    Step("finish", finish, is_in("Complete")),
)
EXPIRE = Step(
    "expire",
    lambda g, j: g.change(j, runPolicy={"ttlSecondsAfterFinished": 1}),
    lambda portrait: not portrait,
)
"""The operator deletes the finished job."""


class Fleet:
    """Jobs that go through the same steps, each with a fault of its own.

    Args:
        ground: Where.
        script: What goes wrong.
        jobs: Their names.
    """

    def __init__(self, ground: Ground, script: Script, jobs: list[str]) -> None:
        self.ground, self.script, self.jobs = ground, script, jobs

    async def act(self, step: Step) -> None:
        """Does a step to all jobs."""
        await asyncio.gather(*(step.act(self.ground, job) for job in self.jobs))

    async def wait(self, golden: Body, *, or_struck: bool = False) -> dict[str, Body]:
        """Waits until every job is golden; those that never were, with what is there of them.

        Args:
            golden: The portrait that all should come to have.
            or_struck: A job that met its fault need not be golden yet.
        """
        deadline = time.monotonic() + PATIENCE
        while True:
            await self.quiet(deadline)
            there = await self.ground.portraits()
            wrong = {
                job: there.get(job, {})
                for job in self.jobs
                if there.get(job, {}) != golden
                and not (or_struck and self.script.tracks[job].struck)
            }
            if not wrong or time.monotonic() > deadline:
                return wrong

    async def settle(self, step: Step) -> dict[str, Body]:
        """The portraits once the step is done and the operator has nothing before it."""
        deadline = time.monotonic() + PATIENCE
        while True:
            await self.quiet(deadline)
            there = await self.ground.portraits()
            found = {job: there.get(job, {}) for job in self.jobs}
            done = all(step.is_done(portrait) for portrait in found.values())
            if done and not self.ground.is_busy():
                return found
            assert time.monotonic() < deadline, found

    async def quiet(self, deadline: float, seconds: float = IDLE) -> None:
        """Waits until nothing has happened for so long."""
        seen, since = -1, 0.0
        while True:
            now = time.monotonic()
            if self.script.activity != seen:
                seen, since = self.script.activity, now
            if now > deadline or now - since >= seconds:
                return
            self.ground.check_lives()
            await asyncio.sleep(0.1)
