"""What every engine must do: the same tests for the laptop and for a cluster.

A test module derives from `EngineSuite` and gives the fixture `client`; pytest collects the derived
class. One run serves all verbs, because starting one takes the longest.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import fedjob
from support.sdk.models import write_shards

ROUNDS = 3
MODEL = """
import time

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.value = nn.Parameter(torch.zeros(2))


def fl_train_model(payload):
    env = payload["env"]
    if env["MISTAKE"]:
        raise ValueError("the author's mistake")
    time.sleep(1)
    print("round", env["CURRENT_ROUND"] + 1)
    number = int(env["SITE_NAME"].rpartition("-")[2])
    # Weighted by 1 and 3 samples, the mean of 1 and 2 is 1.75.
    weights = {"value": payload["initial_weights"]["value"] + 1 + number}
    return {"weights": weights, "samples": 1 + 2 * number, "metrics": {"loss": 0.5}}
"""


def suite_job(name: str, folder: Path, *, mistake: bool = False) -> fedjob.FederatedJob:
    """A job of two workers."""
    path = folder / "model_def.py"
    path.write_text(MODEL)
    return fedjob.from_model(
        path,
        class_name="Net",
        name=name,
        training={"extra": {"MISTAKE": mistake}},
        federation={
            "num_rounds": ROUNDS,
            "min_clients": 2,
            "wait_time_after_min_received": 0,
        },
        workers={"gpu": 0},
    )


class EngineSuite:
    """Verbs of `fedjob.Run`, in the order in which a person uses them."""

    PATIENCE = 300.0
    """Seconds that a run may take."""

    @pytest.fixture(scope="class")
    @classmethod
    def client(cls) -> fedjob.Client | fedjob.LocalClient:
        """Of the engine; a derived class gives it."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        folder = tmp_path_factory.mktemp("engine")
        write_shards(folder / "shards")
        return folder

    @pytest.fixture(scope="class")
    @classmethod
    def failing(cls, client: fedjob.Client | fedjob.LocalClient, folder: Path) -> fedjob.Run:
        """A run that fails, beside the other one: most of its time is the processes' start."""
        return client.submit(
            suite_job("suite-fails", folder, mistake=True), shards=folder / "shards"
        )

    @pytest.fixture(scope="class")
    @classmethod
    def seen(
        cls, client: fedjob.Client | fedjob.LocalClient, folder: Path, failing: fedjob.Run
    ) -> tuple[fedjob.Run, list[fedjob.RunStatus], fedjob.RunStatus]:
        """A run that was suspended after a round, resumed through a new handle, and followed."""
        job = suite_job("suite", folder)
        run = client.submit(job, shards=folder / "shards")
        statuses = []
        for status in run.follow():
            statuses.append(status)
            if status.completed >= 1:
                break
        run.suspend()
        suspended = next(
            status for status in run.follow() if status.state is fedjob.JobState.SUSPENDED
        )
        assert not run.running
        again = client.get("suite")
        again.resume()
        assert again.running
        statuses += list(again.follow())
        again.wait(cls.PATIENCE)
        return again, statuses, suspended

    def test_follow_shows_every_stage_up_to_the_end(self, seen) -> None:
        _, statuses, suspended = seen
        rounds = [status.completed for status in statuses]
        assert rounds == sorted(rounds), "rounds are never taken back"
        assert rounds[-1] == ROUNDS
        assert statuses[-1].state is fedjob.JobState.COMPLETE
        assert suspended.completed >= 1
        assert all(status.total == ROUNDS for status in statuses)
        assert any(status.state is fedjob.JobState.TRAINING for status in statuses)

    def test_status_names_clients_and_rounds(self, seen) -> None:
        status = seen[0].status()
        assert (status.state, status.rounds_text) == ("Complete", f"{ROUNDS}/{ROUNDS}")
        assert {client.name: client.shard for client in status.clients} == {
            "worker-0": "site-a.zip",
            "worker-1": "site-b.zip",
        }
        assert [line.round for line in status.history][-1] == ROUNDS
        assert status.metrics["loss"] == 0.5
        assert status.result is not None
        assert status.start_time is not None

    def test_result_is_the_exact_mean_of_every_round_once(self, seen, tmp_path: Path) -> None:
        result = seen[0].result()
        assert [line.round for line in result.rounds] == [1, 2, 3]
        assert {line.samples for line in result.rounds} == {4}
        assert result.load()["value"].tolist() == [1.75 * ROUNDS] * 2
        names = sorted(path.name for path in result.download(tmp_path / "out").iterdir())
        assert names == ["GLOBAL_MODEL.pt", "model.safetensors", "report.html", "result.json"]

    def test_logs_of_a_site_and_of_a_round(self, seen) -> None:
        run = seen[0]
        assert list(run.logs("server"))
        assert "round 3" in "\n".join(run.logs("worker-1"))
        assert any("round 1" in line for line in run.logs("worker-0", round=1))
        with pytest.raises(fedjob.InvalidJobError):
            list(run.logs("worker-7"))

    def test_run_is_found_and_listed(self, seen, client) -> None:
        assert "suite" in [run.name for run in client.list()]
        assert client.get("suite").status().ended
        with pytest.raises(fedjob.InvalidJobError, match="nothing-of-this-name"):
            client.get("nothing-of-this-name")

    def test_report_and_events(self, seen, tmp_path: Path) -> None:
        report = seen[0].report(tmp_path / "report.html")
        assert report.rounds == ROUNDS
        assert "suite" in report.path.read_text()
        assert all(event.message for event in seen[0].events())

    def test_same_submission_again_changes_nothing(self, seen, client, folder: Path) -> None:
        run = client.submit(suite_job("suite", folder), shards=folder / "shards")
        assert run.wait(self.PATIENCE).load()["value"].tolist() == [1.75 * ROUNDS] * 2

    def test_failed_run_raises_its_reason_and_can_be_cancelled(self, client, failing) -> None:
        run = failing
        with pytest.raises(fedjob.RunFailedError, match="the author's mistake") as caught:
            run.wait(self.PATIENCE)
        assert caught.value.reason is fedjob.Reason.TRAINING_FAILED
        assert run.result().state is fedjob.RunState.FAILED
        with pytest.raises(fedjob.InvalidJobError, match="has no model"):
            run.result().load()
        run.cancel()
        assert "suite-fails" not in [found.name for found in client.list()]
