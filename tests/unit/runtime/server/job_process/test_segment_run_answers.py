"""Answers that do not count: refused, late, repeated or of another round."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from fedjob.reasons import Reason
from fedjob_runtime.protocol import ANSWER_SHA256, PROTOCOL, RELEASE, TASK_PROTOCOL, WARNINGS
from fedjob_runtime.server.job_process.fedavg import MAX_WEIGHT
from fedjob_runtime.training.weights import digest
from support.fake_segment import (
    FakeSegment,
    answering,
    finished_with,
)


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
        ({"meta": {ANSWER_SHA256: "0" * 64}}, Reason.CHECKSUM_MISMATCH, "with '000000000000'"),
        ({"meta": {ANSWER_SHA256: ["x"]}}, Reason.CHECKSUM_MISMATCH, "its weights have SHA-256"),
        (
            {"params": {"w": "text", 1: "x"}, "meta": {ANSWER_SHA256: "0" * 64}},
            Reason.UNEXPECTED_TENSOR,
            "w is a builtins.str",
        ),
        (
            {"meta": {PROTOCOL: TASK_PROTOCOL + 1, RELEASE: "9.9.9"}},
            Reason.VERSION_MISMATCH,
            f"this worker's is 9.9.9 (protocol {TASK_PROTOCOL + 1})",
        ),
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


@pytest.mark.parametrize("meta", [{}, {ANSWER_SHA256: digest({"w": torch.full((2,), 9.0)})}])
def test_answer_with_its_checksum_counts_and_one_without_too(
    tmp_path: Path, meta: dict[str, Any]
) -> None:
    """An author's own executor and a worker of an older image send none."""
    fake = FakeSegment(tmp_path)
    finished_with(fake, (1, answering("worker-2", 9.0, meta=meta)))
    assert fake.offered(1)["failures"] == []
    assert fake.model(1) == [5.0, 5.0]


def test_one_bit_that_changed_on_the_way_is_noticed(tmp_path: Path) -> None:
    sent = torch.full((2,), 9.0)
    arrived = sent.clone()
    arrived.view(torch.int32)[1] ^= 1
    fake = FakeSegment(tmp_path)
    changed = answering(
        "worker-2", 9.0, params={"w": arrived}, meta={ANSWER_SHA256: digest({"w": sent})}
    )
    finished_with(fake, (1, changed))
    assert fake.model(1) == [3.0, 3.0]
    assert [f["reason"] for f in fake.offered(1)["failures"]] == [Reason.CHECKSUM_MISMATCH]


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
