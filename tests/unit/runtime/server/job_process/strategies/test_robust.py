"""Trimmed mean, median and Krum against numpy, scipy and the definitions of their papers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy import stats

from fedjob_runtime.server.job_process.strategies.robust import (
    KeptAnswers,
    Krum,
    Median,
    TrimmedMean,
)

Weights = dict[str, torch.Tensor]


def answers(count: int, size: int = 60, seed: int = 0) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).normal(size=(count, size)))


def combined(
    strategy: KeptAnswers, given: list[Weights], order: list[int] | None = None
) -> Weights:
    for index in order or range(len(given)):
        strategy.add(given[index], 10**index, f"worker-{index}")
    return strategy.result()


def as_weights(values: list[np.ndarray], dtype: torch.dtype = torch.float64) -> list[Weights]:
    return [{"w": torch.tensor(value, dtype=dtype)} for value in values]


@pytest.mark.parametrize("count", [3, 4, 7, 10])
def test_median_is_that_of_numpy(count: int) -> None:
    values = answers(count)
    found = combined(Median({}), as_weights(values))["w"]
    torch.testing.assert_close(found, torch.tensor(np.median(values, axis=0)), rtol=0, atol=1e-15)


@pytest.mark.parametrize(
    ("count", "fraction"), [(3, 0.4), (10, 0.1), (10, 0.3), (11, 0.25), (5, 0)]
)
def test_trimmed_mean_is_that_of_scipy(count: int, fraction: float) -> None:
    values = answers(count)
    found = combined(TrimmedMean({}, fraction), as_weights(values))["w"]
    expected = stats.trim_mean(np.array(values), fraction, axis=0)
    torch.testing.assert_close(found, torch.tensor(expected), rtol=0, atol=1e-14)


def krum_scores(values: list[np.ndarray], byzantine: int) -> list[float]:
    """The definition, pair by pair."""
    scores = []
    for index, own in enumerate(values):
        distances = sorted(
            float(((own - other) ** 2).sum())
            for position, other in enumerate(values)
            if position != index
        )
        scores.append(sum(distances[: len(values) - byzantine - 2]))
    return scores


@pytest.mark.parametrize(("count", "byzantine"), [(5, 1), (7, 2), (9, 3)])
def test_krum_keeps_the_answer_with_the_lowest_score(count: int, byzantine: int) -> None:
    values = answers(count, seed=byzantine)
    given = as_weights(values)
    expected = krum_scores(values, byzantine)
    strategy = Krum({}, byzantine)
    assert strategy.scores(given) == pytest.approx(expected, rel=1e-12)
    best = int(np.argmin(expected))
    assert combined(strategy, given)["w"].equal(given[best]["w"])
    two = np.argsort(expected)[:2]
    mean = torch.tensor(np.mean([values[index] for index in two], axis=0))
    torch.testing.assert_close(combined(Krum({}, byzantine, keep=2), given)["w"], mean)


@pytest.mark.parametrize("strategy", [Median, TrimmedMean, Krum])
def test_a_bad_worker_cannot_pull_the_model_away(strategy: type[KeptAnswers]) -> None:
    values = [np.full(50, 1.0) + offset for offset in (0.0, 0.01, -0.01, 0.02)]
    values.append(np.full(50, 1e30))
    made = TrimmedMean({}, 0.2) if strategy is TrimmedMean else strategy({})
    found = combined(made, as_weights(values, torch.float32))["w"]
    assert float((found - 1).abs().max()) < 0.03


@pytest.mark.parametrize("make", [Median, Krum, lambda r: TrimmedMean(r, 0.25)])
def test_the_order_of_arrival_changes_nothing(make: type[KeptAnswers]) -> None:
    given = as_weights(answers(5, size=9), torch.float32)
    first = combined(make({}), given)["w"]
    for order in itertools.islice(itertools.permutations(range(5)), 0, 120, 17):
        assert combined(make({}), given, list(order))["w"].equal(first)


@pytest.mark.parametrize("make", [Median, TrimmedMean])
def test_integers_are_averaged_and_equal_values_stay(make: type[KeptAnswers]) -> None:
    low = torch.finfo(torch.float32).min
    given: list[Weights] = [
        {
            "seen": torch.tensor(index, dtype=torch.int64),
            "mask": torch.tensor([low, float("-inf"), 0.1]),
            "half": torch.full((3,), index / 3, dtype=torch.bfloat16),
            "c": torch.full((2,), complex(index, -index), dtype=torch.complex64),
        }
        for index in range(5)
    ]
    found = combined(make({}), given)
    assert int(found["seen"]) == 2
    assert found["mask"].equal(given[0]["mask"])
    assert found["half"].dtype is torch.bfloat16
    assert found["half"].equal(torch.full((3,), 2 / 3, dtype=torch.bfloat16))
    assert found["c"].tolist() == [2 - 2j, 2 - 2j]


@pytest.mark.parametrize("make", [Median, TrimmedMean, Krum])
def test_parts_of_a_model_and_too_few_answers(make: type[KeptAnswers]) -> None:
    reference = {"w": torch.zeros(2), "rest": torch.ones(2)}
    given: list[Weights] = [{"w": torch.full((2,), float(value))} for value in (1, 3)]
    found = combined(make(reference), given)
    assert found["rest"].equal(reference["rest"])
    assert found["w"].tolist() in ([2.0, 2.0], [1.0, 1.0])
    assert make(reference).state() == {}
