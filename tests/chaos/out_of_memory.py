"""Out of memory: the one fault that ends a run, which continues once the limit is raised."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from chaos.deployment import ChaosDeployment
from chaos.faults import Phase
from chaos.invariants import log_violations, model_violations
from chaos.matrix import LONGEST, SMALL, Outcome, Strike, counts_of, submitted
from chaos.running_job import WORKERS, RunningJob
from e2e.cluster_access.recorder import RECORDER
from fedjob.reasons import Reason

FAULT = "worker out of memory"
REPORTED = "reported after"
"""Phase of a strike whose seconds run from the last commit to Failed, including the training."""
_LIMIT, _ENOUGH, _MEGABYTES = "1Gi", "3Gi", 1200
_HEAD = f"""
import os
import threading


def allocate():
    return [bytes([1]) * 2**20 for _ in range({_MEGABYTES})]


def is_hungry(env):
    return env["SITE_NAME"] == "worker-0" and env["CURRENT_ROUND"] == env["hungry_round"]
"""
_AT_IMPORT = '\n\nif os.environ.get("FEDJOB_WORKER") == "worker-0":\n    ballast = allocate()\n'
_PAUSE = '    time.sleep(env["pause"])\n'
_IN_TRAINING = "    ballast = allocate() if is_hungry(env) else None\n"
_AFTERWARDS = "    if is_hungry(env):\n        threading.Timer(0.1, allocate).start()\n"
_LAST_LINE = '    return {\n        "weights"'
_HUNGRY_ROUND = {
    Phase.STARTING: 1,
    Phase.MID_ROUND: 2,
    Phase.BETWEEN: 2,
    Phase.LAST: SMALL,
    Phase.FINISHING: SMALL,
}


class HungryJob(RunningJob):
    """A job whose first worker once exceeds its memory limit."""

    def __init__(self, deployment: ChaosDeployment, name: str, phase: Phase) -> None:
        # NVFlare counts rounds from 0.
        super().__init__(deployment, name, SMALL, hungry_round=_HUNGRY_ROUND[phase] - 1)
        self._phase = phase

    def sections(self, sections: dict[str, Any]) -> dict[str, Any]:
        """Sets the hungry training function and the memory limit."""
        sections["model"] = {**sections["model"], "source": {"inline": _source(self._phase)}}
        # With fewer, the round would be committed without the hungry worker.
        sections["federation"]["minClients"] = WORKERS
        sections["workers"] |= {
            "resources": {"limits": {"memory": _LIMIT}, "requests": {"memory": "300Mi"}}
        }
        return sections


def _source(phase: Phase) -> str:
    if phase is Phase.STARTING:
        return RECORDER + _HEAD + _AT_IMPORT
    if phase in (Phase.BETWEEN, Phase.FINISHING):
        # Memory runs out while the result is being sent.
        return _HEAD + RECORDER.replace(_LAST_LINE, _AFTERWARDS + _LAST_LINE)
    return _HEAD + RECORDER.replace(_PAUSE, _PAUSE + _IN_TRAINING)


def parts(deployment: ChaosDeployment, repeat: int) -> list[Callable[[], Outcome]]:
    """`repeat` jobs for the middle of a round, and one for each other phase with a worker."""
    phases = [Phase.MID_ROUND] * repeat + [p for p in _HUNGRY_ROUND if p is not Phase.MID_ROUND]
    return [
        partial(hungry, deployment, f"hungry-{index}", phase) for index, phase in enumerate(phases)
    ]


def hungry(deployment: ChaosDeployment, name: str, phase: Phase) -> Outcome:
    """The job runs out of memory, fails with the reason, and continues with a higher limit."""
    outcome = Outcome(FAULT)
    job = HungryJob(deployment, name, phase)
    with submitted(job, outcome):
        if phase is Phase.FINISHING:
            _after_the_last_commit(job, outcome)
        else:
            _before_the_last_commit(job, phase, outcome)
        outcome.counts = counts_of(job.status())
        outcome.wrong += log_violations(job.commits(), SMALL)
        outcome.wrong += model_violations(job.commits(), job.model(job.commits()[SMALL]))
    return outcome


def _after_the_last_commit(job: HungryJob, outcome: Outcome) -> None:
    """All rounds are committed: the run is Complete, and its state never Failed."""
    job.until(lambda: job.completed() >= SMALL, LONGEST, 0.05)
    began, states = time.time(), set()

    def ended() -> bool:
        states.add(str(job.status().get("state")))
        return bool(states & {"Complete", "Failed"})

    job.until(ended, LONGEST, 0.05)
    outcome.strikes.append(Strike(FAULT, Phase.FINISHING, time.time() - began))
    if "Complete" not in states:
        outcome.wrong.append(f"all rounds are committed, and it ended as {job.status()}")


def _before_the_last_commit(job: HungryJob, phase: Phase, outcome: Outcome) -> None:
    number = _HUNGRY_ROUND[phase]
    if phase is not Phase.STARTING:
        job.until(lambda: job.completed() >= number - 1, LONGEST, 0.05)
    began = time.time()
    status = job.until(lambda: (s := job.status()).get("state") == "Failed" and s, LONGEST)
    outcome.strikes.append(Strike(FAULT, REPORTED, time.time() - began if status else None))
    if not status or status["reason"] != Reason.OUT_OF_MEMORY:
        outcome.wrong.append(f"it ended as {job.status()}")
    elif "reduce batch_size" not in status["message"]:
        outcome.wrong.append(f"its message has no advice: {status['message']}")
    done = {number - 1, number} if phase is Phase.BETWEEN else {number - 1}
    if job.completed() not in done:
        outcome.wrong.append(f"{job.completed()} rounds are committed, not {number - 1}")
    if status and status["rounds"]["completed"] != job.completed():
        outcome.wrong.append(f"of {job.completed()} rounds, the status counts {status['rounds']}")
    raised = time.time()
    limits = {"workers": {"resources": {"limits": {"memory": _ENOUGH}}}}
    job.deployment.patch(job.name, limits)
    complete = job.until(lambda: job.status().get("state") == "Complete", LONGEST, 0.5)
    found = job.next_commit(raised)
    outcome.strikes.append(Strike(FAULT, phase, found[0] if found else None))
    if not complete:
        outcome.wrong.append(f"with more memory it did not continue: {job.status()}")
