"""FedAvg against a float64 reference (CONTRACT rows 10, 11)."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from fedjob_runtime.server.job_process.fedavg import WeightedMean, weighted_metrics

# Float32 has 24 bits of mantissa: k results folded in make k+1 roundings, each at most half a unit
# in the last place of the partial sum. Tolerance for values of size 1 and 5 workers, with room for
# cancellation.
FLOAT32 = 2e-6
BFLOAT16 = 2**-8
"""Half a unit in the last place of bfloat16 (8 bits of mantissa), relative."""


def reference(parts: list[tuple[int, dict[str, Tensor]]]) -> dict[str, Tensor]:
    total = sum(samples for samples, _ in parts)
    names = parts[0][1]
    return {n: sum(w[n].double() * (s / total) for s, w in parts) for n in names}  # type: ignore[misc]


def model(seed: int) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(7, 5), nn.BatchNorm1d(5), nn.Linear(5, 3))
    net(torch.randn(4, 7))
    state = dict(net.state_dict())
    state["1.num_batches_tracked"] += seed * 3
    state["half"] = torch.randn(6).to(torch.bfloat16)
    state["small"] = torch.randn(6).to(torch.float16)
    state["double"] = torch.randn(6, dtype=torch.float64)
    state["flag"] = torch.tensor([True, False, seed % 2 == 0])
    state["wave"] = torch.randn(3, dtype=torch.complex64)
    return state


@pytest.mark.parametrize("samples", [[4], [1, 9], [3, 1, 400, 7, 50]], ids=["1", "2", "5"])
def test_row_10_weighted_mean_equals_the_float64_reference(samples: list[int]) -> None:
    parts = [(count, model(seed)) for seed, count in enumerate(samples)]
    mean = WeightedMean(parts[0][1])
    for count, weights in parts:
        mean.add(weights, count)
    got, want = (
        mean.result(),
        reference([(s, {k: v for k, v in w.items() if k != "wave"}) for s, w in parts]),
    )
    assert list(got) == list(parts[0][1])
    for name, value in got.items():
        assert value.dtype is parts[0][1][name].dtype, name
        assert value.shape == parts[0][1][name].shape, name
        if name == "wave":
            continue
        if name == "1.num_batches_tracked":
            assert value.item() == round(want[name].item())
        elif name == "flag":
            assert torch.equal(value, want[name].round().bool())
        elif value.dtype in (torch.bfloat16, torch.float16):
            torch.testing.assert_close(value.double(), want[name], rtol=BFLOAT16, atol=1e-6)
        else:
            torch.testing.assert_close(value.double(), want[name], rtol=FLOAT32, atol=FLOAT32)


def test_complex_tensors_are_averaged() -> None:
    parts = [(1, model(0)), (3, model(1))]
    mean = WeightedMean(parts[0][1])
    for count, weights in parts:
        mean.add(weights, count)
    want = (parts[0][1]["wave"] + 3 * parts[1][1]["wave"]) / 4
    torch.testing.assert_close(mean.result()["wave"], want)


def test_row_11_unequal_samples_shift_the_mean() -> None:
    zero, one = {"w": torch.zeros(3)}, {"w": torch.ones(3)}
    results = []
    for count in (1, 3, 99):
        mean = WeightedMean(zero)
        mean.add(zero, 1)
        mean.add(one, count)
        results.append(mean.result()["w"][0].item())
    assert results == pytest.approx([0.5, 0.75, 0.99])


def test_bfloat16_does_not_lose_small_workers() -> None:
    """A running bfloat16 sum of 1.0 would swallow each 1/512."""
    reference_weights = {"w": torch.ones(1, dtype=torch.bfloat16)}
    mean = WeightedMean(reference_weights)
    for index in range(256):
        mean.add({"w": torch.full((1,), float(index % 2), dtype=torch.bfloat16)}, 1)
    assert mean.result()["w"].item() == 0.5


def test_the_workers_tensors_are_not_changed() -> None:
    weights = {"w": torch.ones(4)}
    mean = WeightedMean(weights)
    mean.add(weights, 5)
    mean.add(weights, 7)
    mean.result()
    assert torch.equal(weights["w"], torch.ones(4))


def test_metrics_are_weighted_over_the_workers_that_gave_them() -> None:
    parts = [(1, {"loss": 4.0, "only": 2.0}), (3, {"loss": 8.0})]
    assert weighted_metrics(parts) == {"loss": 7.0, "only": 2.0}
