"""Out of memory: the one fault that ends a run; it goes on once its limit is raised."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from chaos.faults import Phase
from chaos.matrix import LONGEST, SMALL, Outcome, Strike, submitted, told_of
from chaos.scene import WORKERS, ChaosStage, JobScene
from chaos.verdict import faults_of_log, faults_of_model
from e2e.recorder import RECORDER
from fedjob.spec.reasons import Reason

_PAUSE = '    time.sleep(env["pause"])\n'
_EAT = """    if env["CURRENT_ROUND"] == env["hungry_round"] and env["SITE_NAME"] == "worker-0":
        eaten = [bytes([1]) * 2**20 for _ in range(env["megabytes"])]
"""
_LIMIT, _ENOUGH, _MEGABYTES = "1Gi", "3Gi", 1200


class HungryScene(JobScene):
    """Its first worker needs more memory than it may have, in one round."""

    def sections(self, sections: dict[str, Any]) -> dict[str, Any]:
        """The hungry training function, and the limit."""
        source = RECORDER.replace(_PAUSE, _PAUSE + _EAT)
        sections["model"] = {**sections["model"], "source": {"inline": source}}
        # With one alone the round would be committed all the same.
        sections["federation"]["minClients"] = WORKERS
        sections["workers"] |= {
            "resources": {"limits": {"memory": _LIMIT}, "requests": {"memory": "300Mi"}}
        }
        return sections


def parts(stage: ChaosStage) -> list[Callable[[], Outcome]]:
    """One job for the middle, one for the last round."""
    return [
        lambda: hungry(stage, "hungry-mid", 2, Phase.MID_ROUND),
        lambda: hungry(stage, "hungry-last", SMALL, Phase.LAST),
    ]


def hungry(stage: ChaosStage, name: str, number: int, phase: Phase) -> Outcome:
    """Runs out of memory in a round, fails with the reason, and goes on with a higher limit."""
    outcome = Outcome("worker out of memory")
    # NVFlare counts rounds from 0.
    scene = HungryScene(stage, name, SMALL, hungry_round=number - 1, megabytes=_MEGABYTES)
    with submitted(scene, outcome):
        scene.until(lambda: scene.completed() >= number - 1, LONGEST, 0.05)
        began = time.time()
        status = scene.until(lambda: (s := scene.status()).get("state") == "Failed" and s, LONGEST)
        outcome.strikes.append(
            Strike(outcome.fault, "told after", time.time() - began if status else None)
        )
        if not status or status["reason"] != Reason.OUT_OF_MEMORY:
            outcome.wrong.append(f"it ended as {scene.status()}")
        elif "reduce batch_size" not in status["message"]:
            outcome.wrong.append(f"its message has no advice: {status['message']}")
        if scene.completed() != number - 1:
            outcome.wrong.append(f"{scene.completed()} rounds are committed, not {number - 1}")
        raised = time.time()
        stage.patch(name, {"workers": {"resources": {"limits": {"memory": _ENOUGH}}}})
        complete = scene.until(lambda: scene.status().get("state") == "Complete", LONGEST, 0.5)
        found = scene.next_commit(raised)
        outcome.strikes.append(Strike(outcome.fault, phase, found[0] if found else None))
        if not complete:
            outcome.wrong.append(f"with more memory it did not go on: {scene.status()}")
        outcome.told = told_of(scene.status())
        outcome.wrong += faults_of_log(scene.commits(), SMALL)
        outcome.wrong += faults_of_model(scene.commits(), scene.model(scene.commits()[SMALL]))
    return outcome
