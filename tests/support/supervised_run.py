"""A whole server start without processes, store or waiting: fakes around the real Supervisor.

The clock is the engine: each wait of the supervisor lets the fake job process work, the fake
committer commit, and the events of the test happen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedjob.protocol.commit import ClientFailure, Commit, Participant
from fedjob.protocol.config import ServerConfig, StoreLocation, WorkerShard
from fedjob.protocol.server_status import RunEvent, ServerStatus
from fedjob.spec.models.job import FederatedJobSpec
from fedjob.storage.errors import RoundGapError
from fedjob_runtime.atomic_json import write_json
from fedjob_runtime.server.clock import StoppableClock, Stopped
from fedjob_runtime.server.ipc import SegmentReport
from fedjob_runtime.server.orders import ParentError, SegmentRefusedError
from fedjob_runtime.server.supervisor.committer import CommittedRun
from fedjob_runtime.server.supervisor.handover import SupervisorHandover
from fedjob_runtime.server.supervisor.status_store import StatusStore
from fedjob_runtime.server.supervisor.supervisor import Supervisor
from support.handover import handover_in

TIMES = {"train": 0.0, "aggregate": 0.0, "evaluate": 0.0, "commit": 0.0, "total": 0.0}


def commit_of(number: int, model: bytes = b"model", **facts: Any) -> Commit:
    """The commit of a round whose model file has these bytes."""
    values = {
        "round": number,
        "attempt": 1,
        "sha256": hashlib.sha256(model).hexdigest(),
        "size": len(model),
        "started": "2027-01-15T08:00:00Z",
        "ended": "2027-01-15T08:00:01Z",
    }
    return Commit.model_validate({**values, **facts})


class FakeLog:
    """The log of rounds in memory."""

    def __init__(self) -> None:
        self.models: dict[int, bytes] = {}
        self.kept: dict[int, Commit] = {}
        self.attempts = 0
        self.published: dict[str, bytes] = {}

    def claim_attempt(self, owner: str) -> int:
        self.attempts += 1
        return self.attempts

    def commits(self) -> list[int]:
        numbers = sorted(self.kept)
        if numbers != list(range(len(numbers))):
            raise RoundGapError(f"the log of rounds has a gap: {numbers}")
        return numbers

    def read(self, number: int) -> Commit:
        return self.kept[number]

    def fetch_model(self, number: int, target: Path) -> Commit:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(self.models[number])
        return self.kept[number]

    def fetch_strategy(self, commit: Commit, target: Path) -> None:
        if commit.strategy is not None:
            target.write_bytes(f"strategy {commit.round}".encode())

    def publish_result(self, number: int, files: dict[str, Path]) -> None:
        self.published = {name: path.read_bytes() for name, path in files.items()}

    def put(self, number: int, **facts: Any) -> None:
        """Commits a round as an earlier server start did."""
        self.models[number] = b"model of round %d" % number
        self.kept[number] = commit_of(number, self.models[number], **facts)


class FakeCommitter:
    """Commits an offered round on the next wait, unless it is `paused`."""

    def __init__(
        self,
        log: Any,
        handover: SupervisorHandover,
        run: CommittedRun,
        *,
        attempt: int,
        last: int,
    ) -> None:
        self.log, self.handover, self.attempt, self.next = log, handover, attempt, last + 1
        self.run = run
        self.segments: list[int] = []
        self.started = self.paused = self.over = False
        self.drained: float | None = None

    def start(self) -> None:
        self.started = True

    def begin_segment(self, segment: int) -> None:
        self.segments.append(segment)

    def drain(self, seconds: float) -> None:
        self.drained = seconds
        self.step()

    def step(self) -> None:
        offered = self.handover.offered_round(self.next)
        if offered is None or self.paused or self.over:
            return
        model = self.handover.take_model(self.next, offered.sha256).read_bytes()
        if self.next == self.handover.last_round:
            self.handover.take_torch_file(self.next)
        commit = commit_of(
            self.next,
            model,
            attempt=self.attempt,
            segment=self.segments[-1],
            participants=offered.participants,
            failures=offered.failures,
            metrics=offered.metrics,
        )
        commit = self.run.judged(commit)
        self.log.models[self.next], self.log.kept[self.next] = model, commit
        self.next += 1
        self.run.committed(commit)
        self.over = self.run.stopped


@dataclass
class FakeJob:
    """The server's job process of one segment, as the supervisor submitted it."""

    id: str
    segment: int
    start_round: int
    clients: list[str]
    began: float
    act: Callable[[SupervisedRun, FakeJob], None]
    number: int = 0
    since: float = 0.0
    memory: dict[str, Any] = field(default_factory=dict)


class FakeParent:
    """NVFlare's parent process."""

    def __init__(self, run: SupervisedRun) -> None:
        self._run = run
        self.alive = False
        self.calls: list[str] = []
        self.refusals = self.unreachable = 0
        self.memory_exceeded = False
        self.connections = 0
        self.refused: SegmentRefusedError | None = None
        self.job: FakeJob | None = None

    def start(self) -> None:
        self.calls.append("start")
        if self.unreachable:
            self.unreachable -= 1
            raise ParentError("no agent of NVFlare's server answers")
        self.alive = True

    def exceeded(self) -> bool:
        return self.memory_exceeded

    def peers(self) -> int:
        return self.connections

    def export(self, number: int) -> None:
        self.calls.append(f"export {number}")
        target = self._run.handover.torch_file(number)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"exported " + self._run.handover.start_model(number).read_bytes())

    def kill(self) -> None:
        self.calls.append("kill")
        self.alive, self.job = False, None

    def submit(self, *, segment: int, start_round: int, clients: list[str]) -> str:
        if self.refused is not None:
            raise self.refused
        if self.refusals:
            self.refusals -= 1
            raise ParentError("NVFlare did not take the segment: busy")
        run = self._run
        run.handover.drop_uncommitted(start_round)
        act = run.acts.pop(0) if run.acts else trains
        job = FakeJob(
            f"job-{segment}",
            segment,
            start_round,
            clients,
            run.clock.now,
            act,
        )
        job.number, job.since = start_round, run.clock.now
        self.job = job
        run.jobs.append(job)
        return job.id

    def abort(self, job: str) -> None:
        self.calls.append(f"abort {job}")
        self.job = None

    def shut_clients_down(self) -> bool:
        self.calls.append("shut down")
        self._run.clients.clear()
        return True


class FakeClock(StoppableClock):
    """Time that passes in waits only."""

    def __init__(self, run: SupervisedRun) -> None:
        super().__init__()
        self._run = run
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 1_800_000_000 + self.now

    def stopped(self, seconds: float) -> bool:
        return super().stopped(0)

    def sleep(self, seconds: float) -> None:
        if self.stopped(0):
            raise Stopped
        self.now += seconds
        assert self.now < 20_000, "the supervisor waits for ever"
        self._run.tick()


class SupervisedRun:
    """A job of `workers` workers and its server start.

    Attributes:
        acts: What the job processes of the next segments do; later ones train.
        at: (seconds, action) of the test.
        clients: Connected workers and their incarnations.
        jobs: Every segment that was submitted.
        metrics: What each round comes to.
    """

    def __init__(
        self,
        folder: Path,
        *,
        workers: int = 2,
        rounds: int = 2,
        min_clients: int = 1,
        device: str = "cpu",
        deadline: int | None = None,
        log: FakeLog | None = None,
        federation: dict[str, Any] | None = None,
        metrics: dict[int, dict[str, float]] | None = None,
    ) -> None:
        names = [f"worker-{index}" for index in range(workers)]
        spec = FederatedJobSpec.model_validate(
            {
                "model": {"source": {"inline": "class Net: pass"}, "className": "Net"},
                "federation": {
                    "numRounds": rounds,
                    "minClients": min_clients,
                    **(federation or {}),
                },
                "runPolicy": {"activeDeadlineSeconds": deadline} if deadline else {},
            }
        )
        config = ServerConfig(
            namespace="default",
            name="job",
            spec=spec,
            num_classes=0,
            workers=[WorkerShard(name=name, shard=f"{name}.zip") for name in names],
            store=StoreLocation(bucket="b"),
            job_folder="/job",
            kit="/kit",
            admin_kit="/admin",
            home=str(folder / "home"),
            device=device,  # type: ignore[arg-type]
        )
        Path(config.home).mkdir(exist_ok=True)
        self.rounds = rounds
        self.metrics = metrics or {}
        self.handover = handover_in(Path(config.home), names, rounds)
        self.clock = FakeClock(self)
        self.clients = {name: f"{name}-a" for name in names}
        self.acts: list[Callable[[SupervisedRun, FakeJob], None]] = []
        self.at: list[tuple[float, Callable[[SupervisedRun], None]]] = []
        self.jobs: list[FakeJob] = []
        self.gone: set[str] = set()
        self.unreported = False
        self.parent = FakeParent(self)
        self.log = log or FakeLog()
        self.committer: FakeCommitter | None = None
        self.store = StatusStore(ServerStatus(total=rounds))
        self.supervisor = Supervisor(
            config,
            self.store,
            None,  # type: ignore[arg-type]
            log=self.log,  # type: ignore[arg-type]
            parent=self.parent,
            clock=self.clock,
            new_committer=self._new_committer,
        )

    def _new_committer(self, *args: Any, **keywords: Any) -> FakeCommitter:
        self.committer = FakeCommitter(*args, **keywords)
        return self.committer

    def run(self) -> bool:
        """The supervisor's result."""
        self.publish_clients()
        return self.supervisor.run()

    def tick(self) -> None:
        """One moment of everything beside the supervisor."""
        due = [act for when, act in self.at if when <= self.clock.now]
        self.at = [(when, act) for when, act in self.at if when > self.clock.now]
        for act in due:
            act(self)
        job = self.parent.job
        if job is not None and self.parent.alive:
            job.act(self, job)
        if self.committer is not None:
            self.committer.step()
        self.publish_clients()

    def publish_clients(self) -> None:
        """What the client registry writes."""
        job = self.parent.job
        cells = [*self.clients]
        if job is not None:
            cells += [f"{n}.{job.id}" for n in (*job.clients, "server") if n not in self.gone]
        published = {
            "clients": {
                name: {"incarnation": incarnation, "last_heartbeat": self.clock.time()}
                for name, incarnation in self.clients.items()
            },
            "cells": cells,
            "jobs": [job.id] if job is not None else [],
            "ended": [f"{n}.{job.id}" for n in self.gone if job and not self.unreported],
        }
        write_json(self.handover.reports / "clients.json", published)

    # What a job process does.

    def report(self, job: FakeJob, phase: str, **more: Any) -> None:
        """Writes the job process's report."""
        self.handover.report(SegmentReport(job.segment, phase, max(job.number, 0), **more))

    def offer(self, job: FakeJob, failures: list[ClientFailure] | None = None) -> None:
        """Hands the job's current round over."""
        model = self.handover.model_file(job.number)
        model.parent.mkdir(parents=True, exist_ok=True)
        content = b"model of round %d" % job.number
        model.write_bytes(content)
        if job.number == self.rounds:
            self.handover.torch_file(job.number).write_bytes(b"torch")
        people = [Participant(name=name, samples=1) for name in job.clients if job.number]
        self.handover.offer_round(
            job.number,
            {
                "sha256": hashlib.sha256(content).hexdigest(),
                "metrics": self.metrics.get(job.number, {}),
                "times": TIMES,
                "started": "2027-01-15T08:00:00Z",
                "ended": "2027-01-15T08:00:01Z",
                "participants": [person.model_dump() for person in people],
                "failures": [failure.model_dump() for failure in failures or []],
            },
        )

    # What a test sees.

    @property
    def status(self) -> ServerStatus:
        return self.store.status

    def events(self, reason: str) -> list[str]:
        """Messages of the events of a reason."""
        found: list[RunEvent] = self.status.events
        return [event.message for event in found if event.reason == reason]


def trains(run: SupervisedRun, job: FakeJob) -> None:
    """A round a second, until the last; ends when it is asked to."""
    if run.clock.now - job.since < 1 or job.memory.get("over"):
        return
    job.since = run.clock.now
    control = run.handover.read_control()
    assert control is not None
    if control.segment != job.segment:
        return
    if job.number == -1:
        job.number = 0
        run.offer(job)
        return
    if control.committed < job.number:
        return
    job.number += 1
    run.report(job, "training", answered=dict.fromkeys(job.clients, 1))
    run.offer(job)
    if job.number == run.rounds or control.stop_after_round:
        job.memory["over"] = True
        run.report(job, "ended", outcome="complete" if job.number == run.rounds else "stop")


def starts(run: SupervisedRun, job: FakeJob) -> None:
    """Begins its first round and never ends it."""
    if job.start_round == -1 and job.number == -1:
        job.number = 0
        run.offer(job)
    elif not job.memory.get("begun") and run.clock.now - job.since >= 1:
        job.memory["begun"] = True
        job.number = max(job.start_round, 0) + 1
        run.report(job, "training")


def ends(outcome: str, **more: Any) -> Callable[[SupervisedRun, FakeJob], None]:
    """A job process whose first round ends its segment with this outcome."""

    def act(run: SupervisedRun, job: FakeJob) -> None:
        starts(run, job)
        if job.memory.get("begun"):
            run.report(job, "ended", outcome=outcome, **more)

    return act


def vanishes(run: SupervisedRun, job: FakeJob) -> None:
    """A job process that is killed in its first round."""
    starts(run, job)
    if job.memory.get("begun") and run.clock.now - job.since > 2:
        run.parent.job = None
