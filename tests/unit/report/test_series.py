"""From commits to named lines: order, grouping, the best value."""

from __future__ import annotations

import math

import pytest

from fedjob.protocol.commit import Commit, RoundTimes
from fedjob.report.series import (
    Series,
    best,
    headline,
    lower_is_better,
    metric_groups,
    metric_series,
    natural,
    phases,
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *((name, True) for name in ("loss", "val_loss", "val_RMSE", "top1-error", "perplexity")),
        *((name, False) for name in ("accuracy", "val_f1", "lossless", "auc", "terror")),
    ],
)
def test_lower_is_better(name: str, expected: bool) -> None:
    assert lower_is_better(name) is expected


def series(name: str, *values: float) -> Series:
    return Series(name, tuple(enumerate(values)))


def test_headline_prefers_validation_then_accuracy_then_anything_but_a_loss() -> None:
    lines = [series(n, 1) for n in ("accuracy", "loss", "val_loss", "val_auc", "val_accuracy")]
    order = []
    while lines:
        first = headline(lines)
        assert first
        order.append(first.name)
        lines.remove(first)
    assert order == ["val_accuracy", "val_auc", "val_loss", "accuracy", "loss"]
    assert headline([]) is None


def test_best_is_the_earliest_of_equals() -> None:
    assert best(series("accuracy", 0.1, 0.9, 0.9)) == (1, 0.9)
    assert best(series("val_loss", 0.3, 0.1, 0.1)) == (1, 0.1)


def test_metrics_are_grouped_by_scale() -> None:
    lines = [
        series("val_accuracy", 0.1, 0.9),
        series("accuracy", 0.2),
        series("loss", 2.0),
        series("val_loss", 0.5),
        series("val_perplexity", 0.9),
        series("perplexity", 120.0),
        series("reward", -2.0),
    ]
    groups = {title: [line.name for line in group] for title, group in metric_groups(lines)}
    assert groups == {
        "Metrics by round": ["val_accuracy", "accuracy"],
        "Loss by round": ["loss", "val_loss"],
        "perplexity by round": ["val_perplexity", "perplexity"],
        "reward by round": ["reward"],
    }


def test_series_leave_out_absent_and_infinite_values() -> None:
    stamps = {"attempt": 1, "sha256": "a", "size": 1, "started": "x", "ended": "y"}
    metrics = [{"a": 1.0, "b": math.nan}, {"b": 2.0}, {"a": math.inf, "val_b": 1.0}]
    commits = [
        # A commit itself takes finite values only.
        Commit(round=number, **stamps).model_copy(update={"metrics": values})  # type: ignore[arg-type]
        for number, values in enumerate(metrics, 1)
    ]
    assert {line.name: line.points for line in metric_series(commits)} == {
        "val_b": ((3, 1.0),),
        "a": ((1, 1.0),),
        "b": ((2, 2.0),),
    }


@pytest.mark.parametrize(("total", "other"), [(2.0, 0.5), (1.0, 0.0)])
def test_phases_add_up_and_other_is_never_negative(total: float, other: float) -> None:
    times = RoundTimes(train=1.0, aggregate=0.2, evaluate=0.2, commit=0.1, total=total)
    commit = Commit(round=1, attempt=1, sha256="", size=0, times=times, started="", ended="")
    assert phases(commit) == pytest.approx((1.0, 0.2, 0.2, 0.1, other))


def test_worker_2_comes_before_worker_10() -> None:
    assert sorted(["worker-10", "worker-2", "a", "worker-2b", "²"], key=natural) == [
        "a",
        "worker-2",
        "worker-2b",
        "worker-10",
        "²",
    ]
