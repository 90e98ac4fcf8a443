"""FedAvg against a float64 reference (CONTRACT rows 10, 11)."""

from __future__ import annotations

import math
import sys
from fractions import Fraction
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from fedjob_runtime.server.job_process.elements import CHUNK
from fedjob_runtime.server.job_process.fedavg import MAX_WEIGHT, WeightedMean, weighted_metrics

# Float32 has 24 bits of mantissa: each result folded in makes three roundings, each at most half a
# unit in the last place. Tolerance for values of size 1 and 5 workers, with room for cancellation.
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


# Equal values, the limits of every dtype, exact integers: against fractions, which do not round.

FLOATS = [
    torch.float8_e4m3fn,
    torch.float8_e5m2,
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
]
INTEGERS = [
    torch.uint8,
    torch.int8,
    torch.uint16,
    torch.int16,
    torch.uint32,
    torch.int32,
    torch.uint64,
    torch.int64,
]
SAMPLES = st.integers(1, 2**40)
FEW = settings(max_examples=20, deadline=None)
WEIGHTS = st.lists(SAMPLES, min_size=1, max_size=6)


def mean_of(parts: list[tuple[int, Tensor]]) -> Tensor:
    mean = WeightedMean({"t": parts[0][1]})
    for samples, value in parts:
        mean.add({"t": value}, samples)
    return mean.result()["t"]


def exact(parts: list[tuple[int, list[Any]]]) -> list[Fraction]:
    total = sum(samples for samples, _ in parts)
    columns = zip(*(values for _, values in parts), strict=True)
    weights = [samples for samples, _ in parts]
    return [
        sum((Fraction(v) * w for v, w in zip(column, weights, strict=True)), Fraction()) / total
        for column in columns
    ]


def nearest_even(value: Fraction) -> int:
    return round(value)


@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS, torch.bool, torch.complex64], ids=str)
@FEW
@given(weights=WEIGHTS)
def test_mean_of_equal_values_is_that_value(dtype: torch.dtype, weights: list[int]) -> None:
    if dtype is torch.bool:
        value = torch.tensor([True, False])
    elif dtype is torch.complex64:
        limit = torch.finfo(torch.float32)
        value = torch.tensor([complex(limit.min, limit.max), 0.1 + 0.7j])
    elif dtype.is_floating_point:
        limit = torch.finfo(dtype)
        value = torch.tensor([limit.min, limit.max, limit.tiny, 0.1, -0.7, 0.0]).to(dtype)
        value[:2] = torch.tensor([limit.min, limit.max], dtype=dtype)
    else:
        bounds = torch.iinfo(dtype)
        value = torch.tensor(
            [bounds.min, bounds.max, bounds.min + 1, bounds.max - 1, 7], dtype=dtype
        )
    got = mean_of([(weight, value.clone()) for weight in weights])
    assert got.dtype is dtype
    assert torch.equal(got.reshape(-1).view(torch.uint8), value.reshape(-1).view(torch.uint8))


def test_infinities_that_every_worker_has_stay() -> None:
    """An attention mask of -inf, which the model itself holds."""
    value = torch.tensor([-math.inf, math.inf, 1.0])
    assert torch.equal(mean_of([(3, value), (5, value), (7, value)]), value)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@FEW
@given(data=st.data(), weights=st.lists(SAMPLES, min_size=2, max_size=6))
def test_floats_are_near_the_exact_mean_over_the_whole_range(
    dtype: torch.dtype, data: st.DataObject, weights: list[int]
) -> None:
    """Bound: for each worker a few units in the last place of the accumulator, one of the dtype."""
    limit = torch.finfo(dtype)
    edges = [limit.min, limit.max, limit.tiny, 0.0]
    number = st.floats(limit.min, limit.max) | st.floats(-2, 2) | st.sampled_from(edges)
    rows = [data.draw(st.lists(number, min_size=3, max_size=3)) for _ in weights]
    tensors = [torch.tensor(row, dtype=torch.float64).to(dtype) for row in rows]
    got = mean_of(list(zip(weights, tensors, strict=True)))
    assert torch.isfinite(got).all()
    want = exact([(w, t.double().tolist()) for w, t in zip(weights, tensors, strict=True)])
    working = torch.finfo(torch.float64 if dtype is torch.float64 else torch.float32)
    for index, value in enumerate(got.double().tolist()):
        largest = max(abs(t.double()[index].item()) for t in tensors)
        bound = Fraction(largest) * Fraction(4 * len(weights) * working.eps + limit.eps)
        bound += 4 * len(weights) * Fraction(limit.smallest_normal)
        assert abs(Fraction(value) - want[index]) <= bound


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
@FEW
@given(data=st.data(), weights=WEIGHTS)
def test_integers_are_exact_up_to_their_limits(
    dtype: torch.dtype, data: st.DataObject, weights: list[int]
) -> None:
    bounds = torch.iinfo(dtype)
    number = st.integers(bounds.min, bounds.max) | st.sampled_from([bounds.min, bounds.max])
    rows = [data.draw(st.lists(number, min_size=4, max_size=4)) for _ in weights]
    parts = [(w, torch.tensor(row, dtype=dtype)) for w, row in zip(weights, rows, strict=True)]
    want = [nearest_even(value) for value in exact(list(zip(weights, rows, strict=True)))]
    assert mean_of(parts).tolist() == want
    assert mean_of(parts[::-1]).tolist() == want, "the order of the workers does not matter"


@FEW
@given(parts=st.lists(st.tuples(SAMPLES, st.booleans()), min_size=1, max_size=6))
def test_booleans_are_the_weighted_majority(parts: list[tuple[int, bool]]) -> None:
    want = bool(nearest_even(exact([(w, [int(v)]) for w, v in parts])[0]))
    assert mean_of([(w, torch.tensor([v])) for w, v in parts]).tolist() == [want]


def test_order_of_the_workers_changes_floats_by_units_in_the_last_place_only() -> None:
    torch.manual_seed(0)
    parts = [(int(w), torch.randn(500)) for w in torch.randint(1, 1000, (20,))]
    forth, back = mean_of(parts), mean_of(parts[::-1])
    assert (forth - back).abs().max() <= 20 * 4 * torch.finfo(torch.float32).eps


def test_tensors_of_more_than_one_chunk_and_of_any_stride() -> None:
    rows = torch.arange(2 * 100_000, dtype=torch.float64).reshape(2, 100_000)
    for value in (rows, rows.t(), rows.to(torch.int64), rows[0, 0], rows[:, :0]):
        got = mean_of([(1, value), (3, value + 4)])
        assert torch.equal(got, value + 3)
        assert got.shape == value.shape


def test_samples_beyond_what_digits_hold_are_refused() -> None:
    mean = WeightedMean({"t": torch.zeros(1)})
    mean.add({"t": torch.zeros(1)}, MAX_WEIGHT)
    with pytest.raises(ValueError, match="samples are more than"):
        mean.add({"t": torch.zeros(1)}, 1)


def test_mean_of_huge_metrics_is_finite() -> None:
    top = sys.float_info.max
    parts = [(3, {"loss": top, "sum": top}), (5, {"loss": top, "sum": -top})]
    found = weighted_metrics(parts)
    assert found["loss"] == top
    assert found["sum"] == -top / 4


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.complex64])
def test_small_tensors_together_give_the_bits_of_each_alone(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    sizes = [1, 3, 7, 8, 9, 31, 33, 1000, CHUNK, CHUNK + 5]
    limits = torch.tensor([float("inf"), 3e38, -3e38, 1.0])
    answers = [
        {f"t{size}": torch.randn(size, dtype=torch.float32).to(dtype) for size in sizes}
        | {"limits": (limits * sign).to(dtype), "scalar": torch.tensor(float(sign)).to(dtype)}
        for sign in (1, 1, -1)
    ]
    together = WeightedMean(answers[0])
    alone = {name: WeightedMean({name: value}) for name, value in answers[0].items()}
    for samples, answer in zip((7, 1, 3), answers, strict=True):
        together.add(answer, samples)
        for name, mean in alone.items():
            # One piece at a time, as tensors of more than one piece are folded in.
            mean._weight += samples
            mean._means[name].add(answer[name], samples, mean._weight)
    for name, value in together.result().items():
        expected = alone[name].result()[name]
        assert torch.equal(bits(value), bits(expected)), name


def bits(value: torch.Tensor) -> torch.Tensor:
    return value.reshape(-1).contiguous().view(torch.uint8)


def test_split_takes_tensors_with_the_weight_so_far() -> None:
    mean = WeightedMean({"a": torch.zeros(2), "b": torch.zeros(2)})
    mean.add({"a": torch.ones(2), "b": torch.ones(2)}, 1)
    other = mean.split({"b"})
    mean.add({"a": torch.full((2,), 4.0)}, 2)
    other.add({"b": torch.full((2,), 3.0)}, 1)
    assert mean.result()["a"].tolist() == [3.0, 3.0]
    assert other.result()["b"].tolist() == [2.0, 2.0]
    assert (mean.weight, other.weight) == (3, 2)
