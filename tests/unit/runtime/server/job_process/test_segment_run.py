"""A segment's rounds with a fake NVFlare and a fake clock: every branch, in milliseconds."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fedjob.reasons import Reason
from fedjob_runtime.protocol import WARNINGS
from fedjob_runtime.server.ipc import Control
from fedjob_runtime.server.job_process.aggregators import AuthorsMean
from fedjob_runtime.server.job_process.model_mean import ModelMean
from fedjob_runtime.server.job_process.round_policy import RoundTerms
from fedjob_runtime.server.job_process.segment_run import (
    SupersededError,
)
from fedjob_runtime.server.job_process.strategies.server_momentum import ServerMomentum
from fedjob_runtime.server.job_process.strategies.server_optimizer import OptimizedMean
from fedjob_runtime.training.errors import ModelInvalidError
from fedjob_runtime.training.weights import file_sha256, load_weights
from support.fake_segment import (
    SEGMENT,
    FakeSegment,
    NoEvaluation,
    OnServer,
    OnWorkers,
    all_answer,
    answering,
)

# The start.


def test_initial_model_is_offered_as_round_0(tmp_path: Path) -> None:
    fake = FakeSegment(tmp_path)
    assert fake.begin(3.0)["w"].tolist() == [3.0, 3.0]
    assert fake.model(0) == [3.0, 3.0]
    assert fake.offered(0)["participants"] == []
    assert fake.report.phase == "started"


def test_later_segment_starts_from_the_committed_model(tmp_path: Path) -> None:
    first = FakeSegment(tmp_path)
    first.begin(3.0)
    first.handover.take_model(0, first.offered(0)["sha256"])
    first.begin(4.0)
    later = FakeSegment(tmp_path, start=0)
    weights = later.run.start(lambda: pytest.fail("the initial model is committed already"))
    assert weights["w"].tolist() == [3.0, 3.0]


# The end of a round.


def test_round_ends_at_once_when_all_have_answered(tmp_path: Path) -> None:
    fake = FakeSegment(tmp_path)
    fake.at = [
        (1, answering("worker-0", 2.0, 1, metrics={"loss": 4.0})),
        (2, answering("worker-1", 4.0, 2, metrics={"loss": 1.0}, meta={WARNINGS: ["slow"]})),
        (3, answering("worker-2", 6.0, 1)),
    ]
    fake.finish()
    assert fake.model(1) == [4.0, 4.0]
    record = fake.offered(1)
    assert [(p["name"], p["samples"]) for p in record["participants"]] == [
        ("worker-0", 1),
        ("worker-1", 2),
        ("worker-2", 1),
    ]
    assert record["participants"][1]["warnings"] == [
        {"reason": "TrainingWarning", "message": "slow"}
    ]
    assert record["metrics"] == {"loss": 2.0}
    assert record["failures"] == []
    assert 3 <= record["times"]["train"] < 3.2
    assert (fake.report.phase, fake.report.outcome) == ("ended", "complete")
    assert fake.kept == [4.0]
    assert fake.handover.torch_file(1).exists()
    assert fake.cancelled == 1


def test_round_waits_after_the_quorum_and_no_longer(tmp_path: Path) -> None:
    fake = FakeSegment(tmp_path)
    fake.at = [(1, answering("worker-0", 2.0)), (5, answering("worker-1", 4.0))]
    fake.finish()
    assert fake.model(1) == [3.0, 3.0]
    assert 15 <= fake.now < 15.2
    assert fake.offered(1)["failures"] == []


def test_late_answer_after_the_quorum_still_counts_within_the_wait(tmp_path: Path) -> None:
    fake = FakeSegment(tmp_path)
    all_answer(fake, {"worker-0": 2.0, "worker-1": 4.0})
    fake.at.append((9, answering("worker-2", 6.0)))
    fake.finish()
    assert fake.model(1) == [4.0, 4.0]


def test_lost_worker_is_not_waited_for(tmp_path: Path) -> None:
    fake = FakeSegment(tmp_path)
    all_answer(fake, {"worker-0": 2.0, "worker-1": 4.0})
    fake.at.append((1, lambda w: w.control(lost=("worker-2",))))
    fake.finish()
    assert fake.now < 1.2
    assert fake.report.outcome == "complete"


def test_too_few_left_end_the_segment_short(tmp_path: Path) -> None:
    fake = FakeSegment(tmp_path)
    fake.at = [(1, lambda w: w.control(lost=("worker-1", "worker-2")))]
    fake.finish()
    assert (fake.report.outcome, fake.report.round) == ("short", 1)
    assert fake.handover.offered_round(1) is None


def test_round_timeout_continues_with_the_quorum_and_asks_for_fresh_processes(
    tmp_path: Path,
) -> None:
    fake = FakeSegment(tmp_path, rounds=2, terms=RoundTerms(1, 1000, 60))
    fake.at = [(1, answering("worker-0", 2.0)), (2, answering("worker-1", 4.0))]
    fake.finish()
    assert 60 <= fake.now < 60.2
    assert fake.report.outcome == "hung"
    failure = fake.offered(1)["failures"][0]
    assert (failure["name"], failure["reason"]) == ("worker-2", Reason.TRAINING_TIMEOUT)
    assert "did not answer round 1 within roundTimeout (60 s)" in failure["message"]


def test_round_timeout_below_the_quorum_ends_the_segment_short(tmp_path: Path) -> None:
    fake = FakeSegment(tmp_path, terms=RoundTerms(2, 10, 60))
    fake.at = [(1, answering("worker-0", 2.0))]
    fake.finish()
    assert fake.report.outcome == "short"
    assert set(fake.report.failed) == {"worker-1", "worker-2"}


# More than one round.


def test_next_round_starts_from_the_last_mean_and_while_it_is_committed(tmp_path: Path) -> None:
    fake = FakeSegment(tmp_path, rounds=2, members=("worker-0", "worker-1"))

    def both(w: FakeSegment) -> None:
        for name in w.sent[-1][2]:
            w.answers(name, 10.0 * len(w.sent))
        w.at.append((w.now + 0.01, both))

    fake.at = [(0, both)]
    fake.finish()
    assert [(task, number) for task, number, _, _ in fake.sent] == [("train", 0), ("train", 1)]
    assert fake.model(2) == [20.0, 20.0]
    assert fake.report.outcome == "complete"


def test_round_is_not_offered_before_the_one_before_is_durable(tmp_path: Path) -> None:
    fake = FakeSegment(tmp_path)
    fake.commits = False
    all_answer(fake, {"worker-0": 2.0, "worker-1": 4.0, "worker-2": 6.0})
    seen: list[object] = []

    def look(w: FakeSegment) -> None:
        seen.append(w.handover.offered_round(1))
        w.control(committed=0)

    fake.at.append((50, look))
    fake.finish()
    assert seen == [None]
    assert fake.offered(1)


def test_segment_stops_after_the_round_when_it_is_asked_to(tmp_path: Path) -> None:
    fake = FakeSegment(tmp_path, rounds=3)
    all_answer(fake, {"worker-0": 2.0, "worker-1": 4.0, "worker-2": 6.0})
    fake.at.append((0, lambda w: w.control(stop_after_round=True)))
    fake.finish()
    assert fake.report.outcome == "stop"
    assert fake.offered(1)


@pytest.mark.parametrize("waiting_for", ["answers", "commit"])
@pytest.mark.parametrize("how", ["another segment", "NVFlare aborts"])
def test_superseded_segment_ends_without_a_report(
    tmp_path: Path, waiting_for: str, how: str
) -> None:
    fake = FakeSegment(tmp_path)
    if waiting_for == "commit":
        fake.commits = False
        all_answer(fake, {"worker-0": 2.0, "worker-1": 4.0, "worker-2": 6.0})

    def end(w: FakeSegment) -> None:
        if how == "another segment":
            w.handover.write_control(Control(SEGMENT + 1))
        else:
            w.aborted = True

    fake.at.append((1, end))
    with pytest.raises(SupersededError):
        fake.finish()
    assert fake.report.phase != "ended"


# Evaluation.


def test_metrics_of_the_server_are_in_the_record(tmp_path: Path) -> None:
    fake = FakeSegment(tmp_path)
    all_answer(fake, {"worker-0": 2.0, "worker-1": 4.0, "worker-2": 6.0})
    fake.finish(OnServer())
    assert fake.offered(1)["metrics"] == {"val_loss": 4.0, "val_round": 0.0}


def test_workers_validate_the_new_model_and_a_failure_is_recorded(tmp_path: Path) -> None:
    fake = FakeSegment(tmp_path)
    all_answer(fake, {"worker-0": 2.0, "worker-1": 4.0, "worker-2": 6.0})
    taken: list[bool] = []

    def validate(w: FakeSegment) -> None:
        assert w.sent[-1][:3] == ("validate", 0, ["worker-0", "worker-1", "worker-2"])
        assert w.report.phase == "validating"
        taken.append(w.answers("worker-0", 0.0, 1, metrics={"loss": 1.0}, params={}))
        taken.append(w.answers("worker-0", 0.0, 1, metrics={"loss": 9.0}, params={}))
        taken.append(w.answers("worker-1", 0.0, 3, metrics={"loss": 5.0}, params={}))
        taken.append(w.answers("worker-2", 0.0, 0, metrics={"loss": 9.0}, params={}))

    fake.at.append((1, validate))
    fake.finish(OnWorkers())
    assert taken == [True, False, True, False]
    record = fake.offered(1)
    assert record["metrics"] == {"val_loss": 4.0}
    assert [p["name"] for p in record["participants"]] == ["worker-0", "worker-1", "worker-2"]
    assert [f["name"] for f in record["failures"]] == ["worker-2"]
    assert fake.report.answered == {"worker-0": 1, "worker-1": 1, "worker-2": 1}


# What a strategy keeps.


def momentum(weights: dict[str, Tensor], _: int, kept: dict[str, Tensor]) -> OptimizedMean:
    return OptimizedMean(ServerMomentum(), weights, kept)


def test_what_the_strategy_keeps_is_offered_with_its_round_and_used_in_the_next(
    tmp_path: Path,
) -> None:
    """A segment that starts from a committed round continues as if nothing had happened."""
    answers = {"worker-0": 2.0, "worker-1": 2.0, "worker-2": 2.0}
    whole = FakeSegment(tmp_path / "whole", rounds=2, new_mean=momentum)
    for when in (0, 1):
        all_answer(whole, answers, when)
    whole.finish()

    before = FakeSegment(tmp_path / "before", rounds=1, new_mean=momentum)
    all_answer(before, answers)
    before.finish()
    kept = before.handover.strategy_file(1)
    assert before.offered(1)["strategy_sha256"] == file_sha256(kept)

    after = FakeSegment(tmp_path / "after", rounds=2, start=1, new_mean=momentum)
    after.handover.start_model(1).parent.mkdir(parents=True)
    shutil.copy(before.handover.model_file(1), after.handover.start_model(1))
    shutil.copy(kept, after.handover.start_strategy(1))
    all_answer(after, answers)
    after.finish()
    for fact in ("sha256", "strategy_sha256"):
        assert after.offered(2)[fact] == whole.offered(2)[fact]
        assert after.offered(2)[fact] != before.offered(1)[fact]


# Errors of the server's own side.


class Broken(ModelMean):
    def add(self, weights: dict[str, Tensor], samples: int, worker: str = "") -> None:
        raise KeyError("w")


def test_error_while_folding_in_is_no_workers_failure(tmp_path: Path) -> None:
    fake = FakeSegment(tmp_path, new_mean=lambda weights, *_: Broken(weights))
    all_answer(fake, {"worker-0": 2.0})
    with pytest.raises(KeyError) as caught:
        fake.finish()
    fake.run.fail(caught.value)
    assert fake.report.outcome == "error"
    assert fake.report.error["reason"] == Reason.INTERNAL_ERROR
    assert "failed in round 1: KeyError: 'w'" in fake.report.error["message"]
    assert fake.report.failed == {}


@pytest.mark.parametrize(
    ("error", "outcome", "reason"),
    [
        (ModelInvalidError("Net is lazy", "give sizes"), "error", "ModelInvalid"),
        (ConnectionResetError("gone"), "broken", Reason.FEDERATION_FAILED),
    ],
)
def test_segment_ends_with_the_error_and_whether_it_may_pass(
    tmp_path: Path, error: Exception, outcome: str, reason: str
) -> None:
    fake = FakeSegment(tmp_path)

    def initial() -> dict[str, Tensor]:
        raise error

    with pytest.raises(type(error)) as caught:
        fake.run.start(initial)
    fake.run.fail(caught.value)
    assert (fake.report.outcome, fake.report.error["reason"]) == (outcome, reason)


def test_error_of_a_superseded_segment_is_not_reported(tmp_path: Path) -> None:
    """Its files are removed under its feet."""
    fake = FakeSegment(tmp_path)
    fake.begin()
    fake.handover.write_control(Control(SEGMENT + 1))
    fake.run.fail(FileNotFoundError("rounds/1"))
    assert fake.report.phase == "started"


class Median:
    """An author's aggregator, as NVFlare calls it."""

    def reset(self, fl_ctx: object) -> None:
        pass

    def accept(self, shareable: object, fl_ctx: object) -> bool:
        raise ValueError("cannot weigh this")


def test_authors_aggregator_that_raises_fails_the_run_not_a_worker(tmp_path: Path) -> None:
    fake = FakeSegment(
        tmp_path,
        new_mean=lambda weights, number, _: AuthorsMean(Median(), weights, number, None),  # type: ignore[arg-type]
    )
    all_answer(fake, {"worker-0": 2.0})
    with pytest.raises(Exception, match=r"Median\.accept failed in round 1") as caught:
        fake.finish()
    fake.run.fail(caught.value)
    assert fake.report.error["reason"] == Reason.AGGREGATION_FAILED
    assert "ValueError: cannot weigh this (test_segment_run.py line" in fake.report.error["message"]
    assert fake.report.failed == {}


# Jobs without a model, and answers with a part of it.


def test_first_answer_makes_the_model_that_the_others_must_fit(tmp_path: Path) -> None:
    fake = FakeSegment(tmp_path)
    fake.at = [
        (1, answering("worker-0", 0, params={"w": torch.tensor([1.0, 2.0])})),
        (2, answering("worker-1", 0, params={"w": torch.tensor([1.0])})),
        (3, answering("worker-2", 0, params={"w": torch.tensor([3.0, 4.0])})),
    ]
    fake.run.run(fake.run.start(dict), NoEvaluation())
    assert load_weights(fake.handover.model_file(1))["w"].tolist() == [2.0, 3.0]
    assert [f["reason"] for f in fake.offered(1)["failures"]] == [Reason.SHAPE_MISMATCH]


def test_first_answer_that_cannot_be_saved_is_its_workers_failure(tmp_path: Path) -> None:
    fake = FakeSegment(tmp_path)
    spectral = torch.ones(2, dtype=torch.complex128)
    fake.at = [
        (1, answering("worker-0", 0, params={"w": spectral})),
        (2, answering("worker-1", 0, params={"w": torch.ones(1)})),
        (2, answering("worker-2", 0, params={"w": torch.ones(1)})),
    ]
    fake.run.run(fake.run.start(dict), NoEvaluation())
    [failure] = fake.offered(1)["failures"]
    assert failure["name"] == "worker-0"
    assert "worker-0.w is complex128" in failure["message"]
