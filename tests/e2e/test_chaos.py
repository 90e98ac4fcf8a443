"""The fault matrix in short; `make chaos` is the whole of it, with nodes and the API server.

Each job ends with all its rounds once each, in the log and in the model's own arithmetic, and the
status counts what was done to it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from chaos.faults import FAULTS, Phase
from chaos.matrix import LONGEST, SMALL, Outcome, strike_in_rounds, strike_to_the_end
from chaos.scene import PAUSE, ChaosStage, JobScene
from chaos.verdict import faults_of_log, faults_of_model
from e2e.kube import Kube
from fedjob.reasons import Reason

pytestmark = pytest.mark.e2e

BY_NAME = {fault.name: fault for fault in FAULTS}
MIDDLE = (
    "worker pod deleted",
    "server container killed",
    # A server counts the retries of its own start: after the last kill of one.
    "worker's job process killed",
    "S3 killed and restarted",
    "operator killed, back after 3 s",
)


@pytest.fixture(scope="module")
def ground(kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChaosStage]:
    """An operator and a store that nothing else relies on."""
    with ChaosStage.running(tmp_path_factory.mktemp("chaos")) as made:
        yield made


def nothing_is_lost(outcome: Outcome, strikes: int) -> None:
    assert outcome.wrong == [], outcome.as_json()
    # After its last round a server may be gone before it can be hit.
    assert set(outcome.left_out) <= {Phase.FINISHING}, outcome.left_out
    assert len(outcome.strikes) == strikes - len(outcome.left_out)
    assert all(strike.seconds is not None for strike in outcome.strikes)


def test_in_the_middle_of_rounds(ground: ChaosStage) -> None:
    plan = [(BY_NAME[name], Phase.MID_ROUND) for name in MIDDLE]
    nothing_is_lost(strike_in_rounds(ground, plan, "middle"), len(plan))


def test_at_the_start_in_the_last_round_and_at_the_end(ground: ChaosStage) -> None:
    phases = [Phase.STARTING, Phase.LAST, Phase.FINISHING]
    outcome = strike_to_the_end(ground, BY_NAME["server pod deleted"], "ends", phases)
    nothing_is_lost(outcome, len(phases))


def test_a_run_that_fails_while_its_last_round_is_committed_is_complete(ground: ChaosStage) -> None:
    """It is Failing while that is not known, and never Failed (docs/contributing/decisions/007)."""
    scene = JobScene(ground, "late", SMALL)
    scene.submit()
    assert scene.until(lambda: scene.completed() >= SMALL - 1, LONGEST, 0.05)
    time.sleep(PAUSE / 2)
    store = ground.store_pod()
    store.freeze()
    try:
        # The answers of the last round are there, and their commit waits for the store.
        time.sleep(PAUSE)
        ground.patch("late", {"runPolicy": {"activeDeadlineSeconds": 1}})
        failing = scene.until(lambda: scene.status().get("state") == "Failing", LONGEST, 0.05)
        told = scene.status()
    finally:
        store.thaw()
    assert failing, told
    assert (told["reason"], told["rounds"]["completed"]) == (Reason.DEADLINE_EXCEEDED, SMALL - 1)
    assert "completionTime" not in told
    ended = ground.until("late", lambda s: s.get("state") in {"Complete", "Failed"})
    assert (ended["state"], ended["rounds"]["completed"]) == ("Complete", SMALL)
    # A condition that was true once stays in the list.
    assert "Failed" not in [condition["type"] for condition in ended["conditions"]]
    assert faults_of_log(scene.commits(), SMALL) == []
    model = scene.model(scene.commits()[SMALL])
    assert faults_of_model(scene.commits(), model) == []
    scene.close()
