"""One fault through every phase of a job, and again and again in the middle of a round."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from chaos.faults import Fault, NotThereError, Phase
from chaos.scene import PAUSE, ChaosStage, JobScene, nodes_ready
from chaos.verdict import faults_of_counts, faults_of_log, faults_of_model
from fedjob.protocol.commit import Commit
from fedjob.storage.errors import ObjectMissingError

LONGEST = 300.0
"""Seconds in which a job must go on, or end."""
SMALL = 4
"""Rounds of a job that runs to its end."""
ENDLESS = 1000


@dataclass(slots=True)
class Strike:
    """A fault that was done.

    Attributes:
        fault: Its name.
        phase: When.
        seconds: Until the next committed round; in the finishing phase until Complete. None: the
            job did not go on in time.
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
    """What became of one job under one fault.

    Attributes:
        fault: Its name.
        strikes: In order.
        wrong: What does not hold; empty when the job lost nothing and says so.
        left_out: Phases in which there was nothing to hit.
        told: Server starts, workers' restarts and retries as the status counts them.
    """

    fault: str
    strikes: list[Strike] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    told: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """For the file of results."""
        return asdict(self)


def strike_in_rounds(stage: ChaosStage, plan: Sequence[tuple[Fault, Phase]], name: str) -> Outcome:
    """Strikes one long job, each time once all its workers are there again."""
    faults = list(dict.fromkeys(fault for fault, _ in plan))
    outcome = Outcome(", ".join(fault.name for fault in faults))
    scene = JobScene(stage, name, ENDLESS)
    with submitted(scene, outcome):
        scene.until(lambda: scene.completed() >= 1, LONGEST)
        for number, (fault, phase) in enumerate(plan):
            # The first strike of a fault is like a first one as it is.
            if fault.afresh is not None and fault in {before for before, _ in plan[:number]}:
                fault.afresh(scene)
            if fault.arrange is not None:
                scene.until(scene.all_connected, LONGEST, 0.5)
                fault.arrange(scene)
            if not scene.until(lambda: nodes_ready(stage) and scene.all_connected(), LONGEST, 0.5):
                outcome.wrong.append(f"before {fault.name}: not every worker came back")
            if not _new_round(scene):
                outcome.wrong.append(f"before {fault.name}: no round was committed")
                break
            if phase is Phase.MID_ROUND:
                time.sleep(PAUSE / 2)
            _strike(scene, fault, phase, outcome)
        scene.until(scene.all_connected, LONGEST, 0.5)
        time.sleep(PAUSE)
        status = scene.until(scene.status, LONGEST)
        for fault in faults:
            # Between two rounds there may be nothing that dies: those are not asked for.
            hits = sum(
                s.phase == Phase.MID_ROUND and s.fault == fault.name for s in outcome.strikes
            )
            outcome.wrong += faults_of_counts(status, fault.counted, hits)
        outcome.told = told_of(status)
        _judge(scene, outcome, None)
    return outcome


def strike_to_the_end(stage: ChaosStage, fault: Fault, name: str, phases: list[Phase]) -> Outcome:
    """The fault in the phases that a job has once, in a job that runs to its end."""
    outcome = Outcome(fault.name)
    scene = JobScene(stage, name, SMALL)
    if fault.afresh is not None:
        fault.afresh(scene)
    with submitted(scene, outcome):
        for phase in phases:
            if phase is Phase.PREPARING and fault.needs_pods:
                outcome.left_out[phase] = "there are no pods yet"
                continue
            if not _reach(scene, phase):
                outcome.wrong.append(f"{phase}: never reached")
                break
            _strike(scene, fault, phase, outcome)
        state = scene.until(lambda: _ended(scene), LONGEST, 0.5)
        if state != "Complete":
            outcome.wrong.append(f"it ended as {state}: {scene.status().get('message')}")
        outcome.told = told_of(scene.status())
        _judge(scene, outcome, SMALL)
    return outcome


def told_of(status: dict[str, Any]) -> dict[str, Any]:
    """What the status counts."""
    clients = (status.get("clients") or {}).get("list") or []
    return {
        "server": (status.get("server") or {}).get("restartCauses") or {},
        "workers": {c["name"]: c.get("restartCauses") or {} for c in clients},
        "retries": status.get("retries") or {},
        "attempt": status.get("attempt"),
    }


@contextmanager
def submitted(scene: JobScene, outcome: Outcome) -> Iterator[None]:
    """Submits a job and deletes it at the end; an error of the test is one of the outcome."""
    try:
        scene.submit()
        yield
    except Exception:  # noqa: BLE001 (told in the table, and the next fault has its turn)
        outcome.wrong.append(traceback.format_exc()[-2000:])
    finally:
        ready = scene.until(lambda: nodes_ready(scene.stage), LONGEST, 1)
        if outcome.wrong and ready:
            outcome.wrong.append(f"the store: {scene.stage.store_told()}")
        scene.close()


def _ended(scene: JobScene) -> str:
    state = str(scene.status().get("state"))
    return state if state in ("Complete", "Failed") else ""


def _new_round(scene: JobScene) -> bool:
    done = scene.completed()
    return bool(scene.until(lambda: scene.completed() > done, LONGEST, 0.05))


def _reach(scene: JobScene, phase: Phase) -> bool:
    if phase is Phase.PREPARING:
        return bool(scene.until(lambda: not scene.pods(), 1))
    if phase is Phase.STARTING:
        # The pods run, and no round is done.
        there = lambda: scene.server() is not None and scene.workers()  # noqa: E731
        return bool(scene.until(there, LONGEST)) and scene.completed() < 1
    done = SMALL - 1 if phase is Phase.LAST else SMALL
    reached = bool(scene.until(lambda: scene.completed() >= done, LONGEST, 0.05))
    if phase is Phase.LAST:
        time.sleep(PAUSE / 2)
    return reached and scene.completed() == done


def _strike(scene: JobScene, fault: Fault, phase: Phase, outcome: Outcome) -> None:
    before = scene.commits().get(scene.completed())
    try:
        # What is hit may be between two lives; it is looked for as long as the phase lasts.
        undo = _hit(scene, fault)
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
        outcome.strikes.append(_recovery(scene, fault.name, phase, before, struck))
    finally:
        if fault.lasting:
            time.sleep(max(0.0, struck + fault.least - time.time()))
            timer.cancel()
            end()
        else:
            timer.join()


def _hit(scene: JobScene, fault: Fault) -> Any:
    deadline = time.monotonic() + 10
    while True:
        try:
            return fault.strike(scene)
        except NotThereError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _recovery(
    scene: JobScene, fault: str, phase: Phase, before: Commit | None, struck: float
) -> Strike:
    if phase is Phase.FINISHING:
        ended = scene.until(lambda: _ended(scene), LONGEST, 0.1)
        return Strike(fault, phase, time.time() - struck if ended == "Complete" else None)
    found = scene.until(
        lambda: scene.next_commit(struck) or _ended(scene) == "Complete", LONGEST, 0.1
    )
    if not found or found is True:
        # The last round may have been committed just as it was struck: then there is only the end.
        return Strike(fault, phase, time.time() - struck if found else None)
    seconds, commit = found
    then = (before.attempt, before.segment) if before is not None else (1, 0)
    same = commit.attempt == then[0]
    segments = commit.segment - then[1] if same and before is not None else commit.segment % 100_000
    return Strike(fault, phase, seconds, segments, commit.attempt - then[0])


def _judge(scene: JobScene, outcome: Outcome, rounds: int | None) -> None:
    for _ in range(5):
        commits = dict(scene.commits())
        try:
            model = scene.model(commits[max(commits)])
        except ObjectMissingError:
            # An endless job has committed meanwhile, and swept the model of an earlier round.
            continue
        outcome.wrong += faults_of_log(commits, rounds)
        outcome.wrong += faults_of_model(commits, model)
        return
    outcome.wrong.append("the model of the last committed round is not in the store")
