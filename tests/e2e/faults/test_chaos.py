"""A short version of the fault matrix; `make chaos` runs all of it, with nodes and the API server.

Each job commits every round exactly once, by its round log and by the model's values, and its
status counts the faults.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from chaos.deployment import ChaosDeployment
from chaos.faults import FAULTS, Phase
from chaos.invariants import log_violations, model_violations
from chaos.matrix import LONGEST, SMALL, Outcome, strike_in_rounds, strike_to_the_end
from chaos.running_job import PAUSE, RunningJob
from e2e.cluster_access.kube import Kube
from fedjob.reasons import Reason

pytestmark = pytest.mark.e2e

BY_NAME = {fault.name: fault for fault in FAULTS}
MIDDLE = (
    "worker pod deleted",
    "server container killed",
    # A server counts retries since its own start, so this comes after the last server kill.
    "worker's job process killed",
    "S3 killed and restarted",
    "operator killed, back after 3 s",
)


@pytest.fixture(scope="module")
def chaos(kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChaosDeployment]:
    """An operator and a store that no other test uses."""
    with ChaosDeployment.running(tmp_path_factory.mktemp("chaos")) as running:
        yield running


def check_nothing_is_lost(outcome: Outcome, strikes: int) -> None:
    assert outcome.wrong == [], outcome.as_json()
    # After its last round a server may have ended before the fault hits it.
    assert set(outcome.left_out) <= {Phase.FINISHING}, outcome.left_out
    assert len(outcome.strikes) == strikes - len(outcome.left_out)
    assert all(strike.seconds is not None for strike in outcome.strikes)


def test_faults_in_the_middle_of_rounds_lose_nothing(chaos: ChaosDeployment) -> None:
    plan = [(BY_NAME[name], Phase.MID_ROUND) for name in MIDDLE]
    check_nothing_is_lost(strike_in_rounds(chaos, plan, "middle"), len(plan))


def test_server_deleted_at_start_last_round_and_end_loses_nothing(chaos: ChaosDeployment) -> None:
    phases = [Phase.STARTING, Phase.LAST, Phase.FINISHING]
    outcome = strike_to_the_end(chaos, BY_NAME["server pod deleted"], "ends", phases)
    check_nothing_is_lost(outcome, len(phases))


def test_run_that_fails_while_its_last_round_is_committed_is_complete(
    chaos: ChaosDeployment,
) -> None:
    """It is Failing until the commit is known, never Failed (contributing/decisions/007)."""
    job = RunningJob(chaos, "late", SMALL)
    job.submit()
    assert job.until(lambda: job.completed() >= SMALL - 1, LONGEST, 0.05)
    time.sleep(PAUSE / 2)
    store = chaos.store_pod()
    store.freeze()
    try:
        # The last round's results have arrived; their commit waits for the store.
        time.sleep(PAUSE)
        chaos.patch("late", {"runPolicy": {"activeDeadlineSeconds": 1}})
        failing = job.until(lambda: job.status().get("state") == "Failing", LONGEST, 0.05)
        status = job.status()
    finally:
        store.thaw()
    assert failing, status
    assert (status["reason"], status["rounds"]["completed"]) == (
        Reason.DEADLINE_EXCEEDED,
        SMALL - 1,
    )
    assert "completionTime" not in status
    ended = chaos.until("late", lambda s: s.get("state") in {"Complete", "Failed"})
    assert (ended["state"], ended["rounds"]["completed"]) == ("Complete", SMALL)
    # Conditions that were once true stay in the list, so Failed never was.
    assert "Failed" not in [condition["type"] for condition in ended["conditions"]]
    assert log_violations(job.commits(), SMALL) == []
    model = job.model(job.commits()[SMALL])
    assert model_violations(job.commits(), model) == []
    job.close()
