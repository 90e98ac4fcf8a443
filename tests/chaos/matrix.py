"""Strikes a job with one fault in every phase, and repeatedly in the middle of rounds."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from chaos.deployment import ChaosDeployment, nodes_ready
from chaos.faults import Fault, NotThereError, Phase
from chaos.invariants import count_violations, log_violations, model_violations
from chaos.running_job import PAUSE, RunningJob
from fedjob.protocol.commit import Commit
from fedjob.storage.errors import ObjectMissingError

LONGEST = 300.0
"""Seconds within which a job must continue or end."""
SMALL = 4
"""`numRounds` of a job that runs to its end."""
ENDLESS = 1000
"""`numRounds` of a job that is deleted before its end."""


@dataclass(slots=True)
class Strike:
    """A fault that was injected.

    Attributes:
        fault: The fault's name.
        phase: The phase in which it struck.
        seconds: Seconds until the next committed round; in the finishing phase until Complete.
            None: the job did not continue in time.
        segments: NVFlare jobs that were started until then.
        attempts: Server starts until then.
    """

    fault: str
    phase: str
    seconds: float | None
    segments: int = 0
    attempts: int = 0


@dataclass(slots=True)
class Outcome:
    """The result of one job under one fault.

    Attributes:
        fault: The fault's name.
        strikes: The strikes in order.
        wrong: Violations; empty if the job lost nothing and its status counts the faults.
        left_out: Phases in which the fault could not be injected, with the cause.
        counts: Server starts, restarts of workers and retries, as counted in the status.
    """

    fault: str
    strikes: list[Strike] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    counts: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The outcome as in results.json."""
        return asdict(self)


def strike_in_rounds(
    deployment: ChaosDeployment, plan: Sequence[tuple[Fault, Phase]], name: str
) -> Outcome:
    """Strikes one long job repeatedly, each time after all its workers have reconnected."""
    faults = list(dict.fromkeys(fault for fault, _ in plan))
    outcome = Outcome(", ".join(fault.name for fault in faults))
    job = RunningJob(deployment, name, ENDLESS)
    with submitted(job, outcome):
        job.until(lambda: job.completed() >= 1, LONGEST)
        for number, (fault, phase) in enumerate(plan):
            if fault.reset is not None and fault in {before for before, _ in plan[:number]}:
                fault.reset(job)
            if fault.arrange is not None:
                job.until(job.all_connected, LONGEST, 0.5)
                fault.arrange(job)
            if not job.until(lambda: nodes_ready(deployment) and job.all_connected(), LONGEST, 0.5):
                outcome.wrong.append(f"before {fault.name}: not every worker came back")
            if not _new_round(job):
                outcome.wrong.append(f"before {fault.name}: no round was committed")
                break
            if phase is Phase.MID_ROUND:
                time.sleep(PAUSE / 2)
            _strike(job, fault, phase, outcome)
        job.until(job.all_connected, LONGEST, 0.5)
        time.sleep(PAUSE)
        status = job.until(job.status, LONGEST)
        for fault in faults:
            # Between two rounds the process may not exist, so only mid-round strikes must count.
            hits = sum(
                s.phase == Phase.MID_ROUND and s.fault == fault.name for s in outcome.strikes
            )
            outcome.wrong += count_violations(status, fault.counted, hits)
        outcome.counts = counts_of(status)
        _judge(job, outcome, None)
    return outcome


def strike_to_the_end(
    deployment: ChaosDeployment, fault: Fault, name: str, phases: list[Phase]
) -> Outcome:
    """Strikes a job that runs to its end, in phases that occur once per job."""
    outcome = Outcome(fault.name)
    job = RunningJob(deployment, name, SMALL)
    if fault.reset is not None:
        fault.reset(job)
    with submitted(job, outcome):
        for phase in phases:
            if phase is Phase.PREPARING and fault.needs_pods:
                outcome.left_out[phase] = "there are no pods yet"
                continue
            if not _reach(job, phase):
                outcome.wrong.append(f"{phase}: never reached")
                break
            _strike(job, fault, phase, outcome)
        state = job.until(lambda: _ended(job), LONGEST, 0.5)
        if state != "Complete":
            outcome.wrong.append(f"it ended as {state}: {job.status().get('message')}")
        outcome.counts = counts_of(job.status())
        _judge(job, outcome, SMALL)
    return outcome


def counts_of(status: dict[str, Any]) -> dict[str, Any]:
    """The restarts and retries that the status counts."""
    clients = (status.get("clients") or {}).get("list") or []
    return {
        "server": (status.get("server") or {}).get("restartCauses") or {},
        "workers": {c["name"]: c.get("restartCauses") or {} for c in clients},
        "retries": status.get("retries") or {},
        "attempt": status.get("attempt"),
    }


@contextmanager
def submitted(job: RunningJob, outcome: Outcome) -> Iterator[None]:
    """Submits a job and deletes it at the end; an exception becomes a violation."""
    try:
        job.submit()
        yield
    except Exception:  # noqa: BLE001 (reported in the table; the next fault still runs)
        outcome.wrong.append(traceback.format_exc()[-2000:])
    finally:
        ready = job.until(lambda: nodes_ready(job.deployment), LONGEST, 1)
        if outcome.wrong and ready:
            outcome.wrong.append(f"the store: {job.deployment.store_log()}")
        job.close()


def _ended(job: RunningJob) -> str:
    state = str(job.status().get("state"))
    return state if state in ("Complete", "Failed") else ""


def _new_round(job: RunningJob) -> bool:
    done = job.completed()
    return bool(job.until(lambda: job.completed() > done, LONGEST, 0.05))


def _reach(job: RunningJob, phase: Phase) -> bool:
    if phase is Phase.PREPARING:
        return bool(job.until(lambda: not job.pods(), 1))
    if phase is Phase.STARTING:
        # The pods run, and no round is done.
        there = lambda: job.server() is not None and job.workers()  # noqa: E731
        return bool(job.until(there, LONGEST)) and job.completed() < 1
    done = SMALL - 1 if phase is Phase.LAST else SMALL
    reached = bool(job.until(lambda: job.completed() >= done, LONGEST, 0.05))
    if phase is Phase.LAST:
        time.sleep(PAUSE / 2)
    return reached and job.completed() == done


def _strike(job: RunningJob, fault: Fault, phase: Phase, outcome: Outcome) -> None:
    before = job.commits().get(job.completed())
    try:
        # The target may be restarting; _hit retries for some seconds.
        undo = _hit(job, fault)
    except NotThereError as error:
        outcome.left_out[str(phase)] = str(error)
        return
    struck = time.time()
    undone = threading.Event()

    def end() -> None:
        if not undone.is_set():
            undone.set()
            undo()

    timer = threading.Timer(fault.hold, end)
    timer.start()
    try:
        outcome.strikes.append(_recovery(job, fault.name, phase, before, struck))
    finally:
        if fault.lasting:
            time.sleep(max(0.0, struck + fault.min_hold - time.time()))
            timer.cancel()
            end()
        else:
            timer.join()


def _hit(job: RunningJob, fault: Fault) -> Any:
    deadline = time.monotonic() + 10
    while True:
        try:
            return fault.strike(job)
        except NotThereError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _recovery(
    job: RunningJob, fault: str, phase: Phase, before: Commit | None, struck: float
) -> Strike:
    if phase is Phase.FINISHING:
        ended = job.until(lambda: _ended(job), LONGEST, 0.1)
        return Strike(fault, phase, time.time() - struck if ended == "Complete" else None)
    found = job.until(lambda: job.next_commit(struck) or _ended(job) == "Complete", LONGEST, 0.1)
    if not found or found is True:
        # The last round may have been committed just before the strike: only the end follows.
        return Strike(fault, phase, time.time() - struck if found else None)
    seconds, commit = found
    then = (before.attempt, before.segment) if before is not None else (1, 0)
    same = commit.attempt == then[0]
    segments = commit.segment - then[1] if same and before is not None else commit.segment % 100_000
    return Strike(fault, phase, seconds, segments, commit.attempt - then[0])


def _judge(job: RunningJob, outcome: Outcome, rounds: int | None) -> None:
    for _ in range(5):
        commits = dict(job.commits())
        try:
            model = job.model(commits[max(commits)])
        except ObjectMissingError:
            # An endless job has committed another round meanwhile and deleted the older model.
            continue
        outcome.wrong += log_violations(commits, rounds)
        outcome.wrong += model_violations(commits, model)
        return
    outcome.wrong.append("the model of the last committed round is not in the store")
