"""Out of memory: the one fault that ends a run; it goes on once its limit is raised."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from chaos.faults import Phase
from chaos.matrix import LONGEST, SMALL, Outcome, Strike, submitted, told_of
from chaos.scene import WORKERS, ChaosStage, JobScene
from chaos.verdict import faults_of_log, faults_of_model
from e2e.recorder import RECORDER
from fedjob.reasons import Reason

FAULT = "worker out of memory"
TOLD = "told after"
"""A strike whose seconds are those from the commit before to Failed, a round's training among them.
"""
_LIMIT, _ENOUGH, _MEGABYTES = "1Gi", "3Gi", 1200
_HEAD = f"""
import os
import threading


def eat():
    return [bytes([1]) * 2**20 for _ in range({_MEGABYTES})]


def is_hungry(env):
    return env["SITE_NAME"] == "worker-0" and env["CURRENT_ROUND"] == env["hungry_round"]
"""
_AT_IMPORT = '\n\nif os.environ.get("FEDJOB_WORKER") == "worker-0":\n    eaten = eat()\n'
_PAUSE = '    time.sleep(env["pause"])\n'
_IN_TRAINING = "    eaten = eat() if is_hungry(env) else None\n"
_AFTERWARDS = "    if is_hungry(env):\n        threading.Timer(0.1, eat).start()\n"
_LAST_LINE = '    return {\n        "weights"'
_HUNGRY_ROUND = {
    Phase.STARTING: 1,
    Phase.MID_ROUND: 2,
    Phase.BETWEEN: 2,
    Phase.LAST: SMALL,
    Phase.FINISHING: SMALL,
}


class HungryScene(JobScene):
    """Its first worker needs more memory than it may have, once."""

    def __init__(self, stage: ChaosStage, name: str, phase: Phase) -> None:
        # NVFlare counts rounds from 0.
        super().__init__(stage, name, SMALL, hungry_round=_HUNGRY_ROUND[phase] - 1)
        self._phase = phase

    def sections(self, sections: dict[str, Any]) -> dict[str, Any]:
        """The hungry training function, and the limit."""
        sections["model"] = {**sections["model"], "source": {"inline": _source(self._phase)}}
        # With one alone the round would be committed all the same.
        sections["federation"]["minClients"] = WORKERS
        sections["workers"] |= {
            "resources": {"limits": {"memory": _LIMIT}, "requests": {"memory": "300Mi"}}
        }
        return sections


def _source(phase: Phase) -> str:
    if phase is Phase.STARTING:
        return RECORDER + _HEAD + _AT_IMPORT
    if phase in (Phase.BETWEEN, Phase.FINISHING):
        # The answer is on its way when the memory goes.
        return _HEAD + RECORDER.replace(_LAST_LINE, _AFTERWARDS + _LAST_LINE)
    return _HEAD + RECORDER.replace(_PAUSE, _PAUSE + _IN_TRAINING)


def parts(stage: ChaosStage, repeat: int) -> list[Callable[[], Outcome]]:
    """Some jobs for the middle of a round, and one for each other phase in which a worker runs."""
    phases = [Phase.MID_ROUND] * repeat + [p for p in _HUNGRY_ROUND if p is not Phase.MID_ROUND]
    return [partial(hungry, stage, f"hungry-{index}", phase) for index, phase in enumerate(phases)]


def hungry(stage: ChaosStage, name: str, phase: Phase) -> Outcome:
    """Runs out of memory, fails with the reason, and goes on with a higher limit."""
    outcome = Outcome(FAULT)
    scene = HungryScene(stage, name, phase)
    with submitted(scene, outcome):
        if phase is Phase.FINISHING:
            _after_the_last_commit(scene, outcome)
        else:
            _before_the_last_commit(scene, phase, outcome)
        outcome.told = told_of(scene.status())
        outcome.wrong += faults_of_log(scene.commits(), SMALL)
        outcome.wrong += faults_of_model(scene.commits(), scene.model(scene.commits()[SMALL]))
    return outcome


def _after_the_last_commit(scene: HungryScene, outcome: Outcome) -> None:
    """Nothing is missing any more: the run is complete, and never told as Failed."""
    scene.until(lambda: scene.completed() >= SMALL, LONGEST, 0.05)
    began, states = time.time(), set()

    def ended() -> bool:
        states.add(str(scene.status().get("state")))
        return bool(states & {"Complete", "Failed"})

    scene.until(ended, LONGEST, 0.05)
    outcome.strikes.append(Strike(FAULT, Phase.FINISHING, time.time() - began))
    if "Complete" not in states:
        outcome.wrong.append(f"all rounds are committed, and it ended as {scene.status()}")


def _before_the_last_commit(scene: HungryScene, phase: Phase, outcome: Outcome) -> None:
    number = _HUNGRY_ROUND[phase]
    if phase is not Phase.STARTING:
        scene.until(lambda: scene.completed() >= number - 1, LONGEST, 0.05)
    began = time.time()
    status = scene.until(lambda: (s := scene.status()).get("state") == "Failed" and s, LONGEST)
    outcome.strikes.append(Strike(FAULT, TOLD, time.time() - began if status else None))
    if not status or status["reason"] != Reason.OUT_OF_MEMORY:
        outcome.wrong.append(f"it ended as {scene.status()}")
    elif "reduce batch_size" not in status["message"]:
        outcome.wrong.append(f"its message has no advice: {status['message']}")
    done = {number - 1, number} if phase is Phase.BETWEEN else {number - 1}
    if scene.completed() not in done:
        outcome.wrong.append(f"{scene.completed()} rounds are committed, not {number - 1}")
    if status and status["rounds"]["completed"] != scene.completed():
        outcome.wrong.append(f"of {scene.completed()} rounds it tells {status['rounds']}")
    raised = time.time()
    limits = {"workers": {"resources": {"limits": {"memory": _ENOUGH}}}}
    scene.stage.patch(scene.name, limits)
    complete = scene.until(lambda: scene.status().get("state") == "Complete", LONGEST, 0.5)
    found = scene.next_commit(raised)
    outcome.strikes.append(Strike(FAULT, phase, found[0] if found else None))
    if not complete:
        outcome.wrong.append(f"with more memory it did not go on: {scene.status()}")
