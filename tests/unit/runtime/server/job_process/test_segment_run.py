"""A segment's rounds with a fake NVFlare and a fake clock: every branch, in milliseconds."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from torch import Tensor

from fedjob.reasons import Reason
from fedjob_runtime.protocol import SAMPLES, WARNINGS
from fedjob_runtime.server.ipc import Control, Handover, SegmentReport
from fedjob_runtime.server.job_process.aggregators import AuthorsMean, Mean
from fedjob_runtime.server.job_process.fedavg import MAX_WEIGHT
from fedjob_runtime.server.job_process.model_mean import ModelMean
from fedjob_runtime.server.job_process.round_policy import RoundTerms
from fedjob_runtime.server.job_process.segment_run import (
    SegmentRun,
    SegmentSettings,
    SupersededError,
)
from fedjob_runtime.training.errors import ModelInvalidError
from fedjob_runtime.training.weights import load_weights

SEGMENT = 7
THREE = ("worker-0", "worker-1", "worker-2")
Act = Callable[["FakeSegment"], None]


class NoEvaluation:
    on_server = False
    on_workers = False

    def run(self, weights: dict[str, Tensor], round_number: int) -> dict[str, float]:
        raise AssertionError("not asked for")


class OnServer(NoEvaluation):
    on_server = True

    def run(self, weights: dict[str, Tensor], round_number: int) -> dict[str, float]:
        return {"val_loss": float(weights["w"][0]), "val_round": float(round_number)}


class OnWorkers(NoEvaluation):
    on_workers = True


class FakeSegment:
    """NVFlare, the supervisor and the clock of one segment.

    `at` holds what happens when: seconds on the clock to actions, which run on the next wait.
    The supervisor commits every offered round at the next wait, unless `commits` is off.
    """

    def __init__(
        self,
        folder: Path,
        *,
        rounds: int = 1,
        start: int = -1,
        members: tuple[str, ...] = THREE,
        terms: RoundTerms | None = None,
        new_mean: Callable[[dict[str, Tensor], int], Mean] | None = None,
    ) -> None:
        self.now = 0.0
        self.aborted = False
        self.commits = True
        self.at: list[tuple[float, Act]] = []
        self.sent: list[tuple[str, int, list[str], dict[str, Any]]] = []
        self.cancelled = 0
        self.kept: list[float] = []
        self.take: Callable[[FLModel], bool] = lambda _: False
        self.handover = Handover(folder)
        self.handover.write_control(Control(SEGMENT, committed=start))
        settings = SegmentSettings(
            SEGMENT, start, rounds, members, terms or RoundTerms(2, 10, None)
        )
        self.run = SegmentRun(
            settings,
            self.handover,
            self,
            new_mean=new_mean or (lambda weights, _: ModelMean(weights)),
            keep=lambda weights: self.kept.append(float(weights["w"][0])),
            custom=folder / "custom",
            clock=self,
        )

    # The clock.

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 1_800_000_000 + self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        assert self.now < 10_000, "the segment waits for ever"
        control = self.handover.read_control()
        if self.commits and control is not None:
            offered = self.handover.offered_round(control.committed + 1)
            if offered is not None:
                self.control(committed=control.committed + 1)
        due = [act for when, act in self.at if when <= self.now]
        self.at = [(when, act) for when, act in self.at if when > self.now]
        for act in due:
            act(self)

    # NVFlare.

    def send(
        self, task: str, model: FLModel, members: list[str], take: Callable[[FLModel], bool]
    ) -> None:
        number = int(model.current_round)
        self.sent.append((task, number, members, dict(model.meta)))
        self.take = take
        for name in members:
            self.run.gave(name, (task, number))

    def cancel(self) -> None:
        self.cancelled += 1

    # The supervisor.

    def control(self, **changes: Any) -> None:
        known = self.handover.read_control()
        assert known is not None
        values = {name: getattr(known, name) for name in known.__slots__}
        self.handover.write_control(Control(**{**values, **changes}))

    # What a test says and sees.

    def begin(self, value: float = 1.0) -> dict[str, Tensor]:
        return self.run.start(lambda: {"w": torch.full((2,), value)})

    def finish(self, evaluation: Any = None) -> None:
        self.run.run(self.begin(), evaluation or NoEvaluation())

    def answers(
        self,
        name: str,
        value: float,
        samples: object = 1,
        *,
        number: int | None = None,
        metrics: object = None,
        meta: dict[str, Any] | None = None,
        params: dict[str, Any] | None = None,
    ) -> bool:
        _, current, _, _ = self.sent[-1]
        model = FLModel(
            params_type=ParamsType.FULL,
            params={"w": torch.full((2,), value)} if params is None else params,
            current_round=current if number is None else number,
            meta={"client_name": name, SAMPLES: samples, **(meta or {})},
        )
        model.metrics = metrics
        return self.take(model)

    @property
    def report(self) -> SegmentReport:
        found = self.handover.read_report(SEGMENT)
        assert found is not None
        return found

    def offered(self, number: int) -> dict[str, Any]:
        found = self.handover.offered_round(number)
        assert found is not None
        return found

    def model(self, number: int) -> list[float]:
        return load_weights(self.handover.model_file(number))["w"].tolist()


def answering(name: str, value: float, samples: object = 1, **more: Any) -> Act:
    def act(fake: FakeSegment) -> None:
        fake.answers(name, value, samples, **more)

    return act


def all_answer(fake: FakeSegment, values: dict[str, float], when: float = 0) -> None:
    fake.at += [(when, answering(name, value)) for name, value in values.items()]


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


# Answers that do not count.


def finished_with(fake: FakeSegment, *acts: tuple[float, Act]) -> None:
    """A round in which worker-0 and worker-1 answer well at the end."""
    fake.at = list(acts)
    fake.at += [(5, answering("worker-0", 2.0)), (5, answering("worker-1", 4.0))]
    fake.finish()


@pytest.mark.parametrize(
    ("answer", "reason", "fragment"),
    [
        ({"samples": 0}, Reason.INVALID_SAMPLES, "samples is 0"),
        ({"samples": True}, Reason.INVALID_SAMPLES, "samples is True"),
        ({"samples": MAX_WEIGHT}, Reason.INVALID_SAMPLES, "with 3 workers it can be"),
        ({"value": float("nan")}, Reason.NON_FINITE_WEIGHTS, "w has 2 of 2 values"),
        ({"params": {"v": torch.ones(2)}}, Reason.MISSING_TENSOR, "w [2] is missing"),
        ({"params": {"w": torch.ones(3)}}, Reason.SHAPE_MISMATCH, "w has shape [3]"),
        ({"params": {}}, Reason.EMPTY_WEIGHTS, "the weights are empty"),
    ],
)
def test_bad_answer_is_its_workers_failure_and_is_not_averaged(
    tmp_path: Path, answer: dict[str, Any], reason: Reason, fragment: str
) -> None:
    fake = FakeSegment(tmp_path)
    finished_with(fake, (1, answering("worker-2", **{"value": 9.0, **answer})))
    assert fake.now < 5.2, "a worker that failed is not waited for"
    assert fake.model(1) == [3.0, 3.0]
    [failure] = fake.offered(1)["failures"]
    assert (failure["name"], failure["reason"]) == ("worker-2", reason)
    assert failure["message"].startswith("worker-2: ")
    assert fragment in failure["message"]


@pytest.mark.parametrize(
    "odd", [{"metrics": {"loss": "much"}}, {"metrics": {"loss": math.nan}}, {"meta": {WARNINGS: 7}}]
)
def test_odd_metrics_and_warnings_cost_a_worker_nothing(
    tmp_path: Path, odd: dict[str, Any]
) -> None:
    fake = FakeSegment(tmp_path)
    finished_with(fake, (1, answering("worker-2", **{"value": 9.0, **odd})))
    assert fake.model(1) == [5.0, 5.0]
    assert fake.offered(1)["failures"] == []
    assert "loss" not in fake.offered(1)["metrics"]


def test_second_answer_of_a_worker_does_not_count(tmp_path: Path) -> None:
    fake = FakeSegment(tmp_path)
    taken: list[bool] = []
    finished_with(
        fake,
        (1, lambda w: taken.append(w.answers("worker-2", 6.0))),
        (2, lambda w: taken.append(w.answers("worker-2", 600.0))),
    )
    assert taken == [True, False]
    assert fake.model(1) == [4.0, 4.0]


def test_good_answer_after_a_bad_one_counts(tmp_path: Path) -> None:
    fake = FakeSegment(tmp_path)
    finished_with(fake, (1, answering("worker-2", 6.0, 0)), (2, answering("worker-2", 6.0)))
    assert fake.offered(1)["failures"] == []
    assert fake.model(1) == [4.0, 4.0]


def test_answer_of_another_round_or_worker_does_not_count(tmp_path: Path) -> None:
    fake = FakeSegment(tmp_path)
    taken: list[bool] = []
    finished_with(
        fake,
        (1, lambda w: taken.append(w.answers("worker-2", 6.0, number=5))),
        (1, lambda w: taken.append(w.answers("worker-9", 6.0))),
    )
    assert taken == [False, False]
    assert fake.model(1) == [3.0, 3.0]


def test_answer_after_the_round_is_closed_does_not_count(tmp_path: Path) -> None:
    fake = FakeSegment(tmp_path)
    finished_with(fake, (1, lambda w: w.control(lost=("worker-2",))))
    assert not fake.answers("worker-2", 6.0)
    fake.run.note_answer("worker-2", ("train", 0), ("TrainingFailed", "x"))
    fake.run.refuse("worker-2", ("train", 0), "InvalidResult", "x")
    assert fake.report.failed == {}


def test_failure_that_a_worker_reports_counts_in_its_round_only(tmp_path: Path) -> None:
    fake = FakeSegment(tmp_path)

    def report(w: FakeSegment) -> None:
        w.run.note_answer("worker-2", ("train", 4), ("TrainingFailed", "of another round"))
        w.run.note_answer("worker-2", ("train", 0), ("TrainingFailed", "worker-2: KeyError"))
        w.run.note_answer("worker-2", ("train", 0), ("TrainingFailed", "a second one"))

    finished_with(fake, (1, report))
    assert [f["message"] for f in fake.offered(1)["failures"]] == ["worker-2: KeyError"]


def test_undecoded_answer_is_refused_in_its_round_and_too_late_in_another(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fake = FakeSegment(tmp_path)

    def refuse(w: FakeSegment) -> None:
        assert w.run.given("worker-2") == ("train", 0)
        w.run.refuse("worker-2", ("train", 5), "InvalidResult", "worker-2: of another round")
        w.run.refuse("worker-2", ("train", 0), "InvalidResult", "worker-2: not decodable")
        w.run.refuse("worker-2", ("train", 0), "InvalidResult", "worker-2: not decodable")

    finished_with(fake, (1, refuse))
    assert [f["message"] for f in fake.offered(1)["failures"]] == ["worker-2: not decodable"]
    assert caplog.text.count("not decodable") == 1
    assert "too late to count" in caplog.text


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


# Errors of the server's own side.


class Broken(ModelMean):
    def add(self, weights: dict[str, Tensor], samples: int, worker: str = "") -> None:
        raise KeyError("w")


def test_error_while_folding_in_is_no_workers_failure(tmp_path: Path) -> None:
    fake = FakeSegment(tmp_path, new_mean=lambda weights, _: Broken(weights))
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
        new_mean=lambda weights, number: AuthorsMean(Median(), weights, number, None),  # type: ignore[arg-type]
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
