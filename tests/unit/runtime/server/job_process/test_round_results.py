"""Who answered a round, and what a worker's metrics are called in its record."""

from __future__ import annotations

import math

import pytest
import torch
from nvflare.apis.dxo import MetaKey
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType

from fedjob.protocol.commit import Participant
from fedjob.reasons import Reason
from fedjob_runtime.protocol import SAMPLES, WARNINGS
from fedjob_runtime.server.job_process.fedavg import MAX_WEIGHT
from fedjob_runtime.server.job_process.round_results import (
    MAX_WARNINGS,
    Round,
    own_metrics,
    samples_of,
)
from fedjob_runtime.training.errors import InvalidSamplesError
from fedjob_runtime.training.returns import MAX_METRICS


def answer(meta: dict[str, object]) -> FLModel:
    return FLModel(params_type=ParamsType.FULL, params={"w": torch.zeros(1)}, meta=meta)


class Ticks:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_members_are_waited_for_until_they_answered_failed_or_are_lost() -> None:
    clock = Ticks()
    current = Round(("train", 0), ["a", "b", "c", "d"], {"w": torch.zeros(1)}, clock=clock)
    clock.now += 5
    current.accept("a", 3, answer({}))
    current.fail("b", "TrainingFailed", "b: KeyError")
    assert current.waiting() == ["c", "d"]
    assert current.waiting(["d"]) == ["c"]
    assert current.seconds() == 5
    assert current.seconds_since(1) == 0
    assert current.seconds_since(2) is None
    assert current.accepted["a"].seconds == 5


def test_only_members_that_have_not_answered_are_expected() -> None:
    current = Round(("train", 0), ["a", "b"], {})
    current.accept("a", 1, answer({}))
    assert [current.expects(name) for name in "abc"] == [False, True, False]
    current.closed = True
    assert not current.expects("b")


@pytest.mark.parametrize(
    ("meta", "samples"),
    [
        ({SAMPLES: 5}, 5),
        ({MetaKey.NUM_STEPS_CURRENT_ROUND: 6}, 6),
        ({SAMPLES: 5, MetaKey.NUM_STEPS_CURRENT_ROUND: 6}, 5),
        ({SAMPLES: MAX_WEIGHT // 2}, MAX_WEIGHT // 2),
    ],
)
def test_samples_are_in_the_meta_under_either_name(meta: dict[str, object], samples: int) -> None:
    assert samples_of(answer(meta), "a", 2) == samples


@pytest.mark.parametrize("meta", [{}, {SAMPLES: 0}, {SAMPLES: "5"}, {SAMPLES: MAX_WEIGHT // 2 + 1}])
def test_other_samples_are_refused(meta: dict[str, object]) -> None:
    with pytest.raises(InvalidSamplesError, match="a: samples is"):
        samples_of(answer(meta), "a", 2)


def test_prefix_val_is_kept_for_the_global_model() -> None:
    assert own_metrics({"loss": 1, "val_loss": 2}) == ({"loss": 1.0, "own_val_loss": 2.0}, [])
    assert own_metrics(None) == ({}, [])


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 10**400, "0.5", None, [1.0, 2.0]])
def test_metrics_of_an_own_executor_are_cleaned_on_the_server(bad: object) -> None:
    model = answer({})
    model.metrics = {"bad": bad, "loss": 0.5}
    current = Round(("train", 0), ["a"], {})
    current.accept("a", 1, model)
    kept = current.accepted["a"]
    assert kept.metrics == {"loss": 0.5}
    [warning] = kept.warnings
    assert warning.reason == Reason.METRIC_DROPPED
    assert "metric bad is not a finite number" in warning.message
    assert Participant.model_validate_json(kept.model_dump_json()) == kept


def test_names_and_number_of_metrics_and_warnings_are_bounded() -> None:
    model = answer({WARNINGS: ["x" * 5000] * 5000})
    model.metrics = {"n" * 5000: 1.0, **{f"m{i}": 1.0 for i in range(5000)}}
    current = Round(("train", 0), ["a"], {})
    current.accept("a", 1, model)
    kept = current.accepted["a"]
    assert len(kept.metrics) == MAX_METRICS
    assert len(kept.warnings) == MAX_WARNINGS
    assert len(kept.model_dump_json()) < 100_000
    other = answer({WARNINGS: 7})
    other.metrics = [1, 2]
    again = Round(("train", 0), ["a"], {})
    again.accept("a", 1, other)
    assert [w.reason for w in again.accepted["a"].warnings] == [Reason.METRIC_DROPPED]
