"""The mean over parts of the model, and over the extra state of modules."""

from __future__ import annotations

import random

import pytest
import torch

from fedjob_runtime.server.job_process.model_mean import ExtraStateMean, ModelMean, worker_order
from fedjob_runtime.training.extra_state import decoded, encode

REFERENCE = {"base": torch.full((2,), 9.0), "lora": torch.zeros(2), "head": torch.zeros(1)}


def test_each_tensor_is_the_mean_over_those_who_sent_it() -> None:
    mean = ModelMean(REFERENCE)
    mean.add({"lora": torch.full((2,), 1.0)}, 1, "worker-0")
    mean.add({"lora": torch.full((2,), 4.0), "head": torch.full((1,), 5.0)}, 2, "worker-1")
    result = mean.result()
    assert list(result) == list(REFERENCE)
    assert torch.equal(result["base"], REFERENCE["base"])
    assert torch.equal(result["lora"], torch.full((2,), 3.0))
    assert torch.equal(result["head"], torch.full((1,), 5.0))


def test_without_a_reference_the_answers_make_the_model() -> None:
    mean = ModelMean({})
    mean.add({"table": torch.tensor([1.0])}, 1, "worker-0")
    mean.add({"table": torch.tensor([4.0])}, 2, "worker-1")
    assert {name: value.tolist() for name, value in mean.result().items()} == {"table": [3.0]}


def state(seen: int, mean: float, width: int = 2) -> dict[str, torch.Tensor]:
    return encode("a._extra_state", {"seen": seen, "mean": torch.full((width,), mean)})


def test_tensors_of_extra_state_are_averaged_and_the_rest_is_the_first_workers() -> None:
    total = ExtraStateMean()
    for worker, seen, value in (("worker-10", 3, 7.0), ("worker-2", 1, 1.0), ("worker-9", 2, 4.0)):
        total.add(state(seen, value), 1, worker)
    found = decoded(total.result({}))["a._extra_state"]
    assert found["seen"] == 1
    assert torch.equal(found["mean"], torch.full((2,), 4.0))


def test_tensors_of_another_shape_do_not_count() -> None:
    total = ExtraStateMean()
    total.add(state(1, 1.0), 1, "worker-0")
    total.add(state(2, 9.0, width=3), 1, "worker-1")
    assert torch.equal(decoded(total.result({}))["a._extra_state"]["mean"], torch.ones(2))


def test_extra_state_that_nobody_sent_stays() -> None:
    before = {"w": torch.ones(1), **state(7, 1.0)}
    mean = ModelMean(before)
    mean.add({"w": torch.zeros(1)}, 1, "worker-0")
    result = mean.result()
    assert decoded(result)["a._extra_state"]["seen"] == 7
    assert set(result) == set(before)


def test_extra_state_is_part_of_the_model_mean() -> None:
    mean = ModelMean({"w": torch.ones(1), **state(7, 1.0)})
    mean.add({"w": torch.zeros(1), **state(8, 3.0)}, 1, "worker-0")
    assert decoded(mean.result())["a._extra_state"]["seen"] == 8


def test_parts_in_any_combination_are_averaged_tensor_by_tensor() -> None:
    generator = random.Random(3)
    reference = {name: torch.zeros(2, dtype=torch.float64) for name in "abcdef"}
    for _ in range(30):
        mean, sent = ModelMean(reference), {name: [] for name in reference}
        for worker in range(1, 6):
            names = generator.sample(sorted(reference), generator.randint(1, 6))
            samples = generator.randint(1, 9)
            value = float(generator.randint(-8, 8))
            mean.add(
                {name: torch.full((2,), value, dtype=torch.float64) for name in names},
                samples,
                f"worker-{worker}",
            )
            for name in names:
                sent[name].append((samples, value))
        result = mean.result()
        assert list(result) == list(reference)
        for name, parts in sent.items():
            weight = sum(samples for samples, _ in parts)
            exact = sum(samples * value for samples, value in parts) / weight if parts else 0.0
            assert result[name].tolist() == pytest.approx([exact, exact], abs=1e-12)


def test_workers_are_sorted_by_their_numbers() -> None:
    names = ["worker-10", "worker-9", "worker-1"]
    assert sorted(names, key=worker_order) == ["worker-1", "worker-9", "worker-10"]
