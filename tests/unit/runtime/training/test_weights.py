"""Checkpoints, the checks of returned weights, and what is written (CONTRACT section 1, row 40)."""

from __future__ import annotations

import contextlib
import itertools
import math
import pickle
import random
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from fedjob_runtime.training.errors import (
    CheckpointInvalidError,
    DtypeMismatchError,
    EmptyWeightsError,
    MissingTensorError,
    NonFiniteWeightsError,
    ShapeMismatchError,
    UnexpectedTensorError,
    WeightsError,
)
from fedjob_runtime.training.weights import (
    check_weights,
    digest,
    file_sha256,
    load_checkpoint,
    load_weights,
    portable,
    save_weights,
)


def reference() -> dict[str, torch.Tensor]:
    return {
        "a": torch.zeros(2, 3),
        "b": torch.zeros(3, dtype=torch.bfloat16),
        "count": torch.tensor(4, dtype=torch.int64),
        "mask": torch.tensor([True, False]),
    }


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ckpt", ".bin"])
@pytest.mark.parametrize("nest", [None, "model_state", "state_dict", "weights", "model_state_dict"])
def test_a_checkpoint_may_nest_its_weights(tmp_path: Path, suffix: str, nest: str | None) -> None:
    """Row 40."""
    path = tmp_path / f"init{suffix}"
    torch.save({nest: reference(), "epoch": 3} if nest else reference(), path)
    loaded = load_checkpoint(path)
    assert digest(loaded) == digest(reference())


def test_a_safetensors_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "init.safetensors"
    save_file(reference(), path)
    assert digest(load_checkpoint(path)) == digest(reference())


def test_a_parameter_named_like_a_nest_is_a_tensor(tmp_path: Path) -> None:
    torch.save({"weights": torch.ones(2)}, tmp_path / "a.pt")
    assert list(load_checkpoint(tmp_path / "a.pt")) == ["weights"]


class Payload:
    """Unpickling one leaves a trace."""

    def __reduce__(self) -> Any:
        return (Path.touch, (Path("/tmp/training-unpickled"),))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (nn.Linear(2, 2), ["Linear", "state_dict()"]),
        ({"state_dict": nn.Linear(2, 2)}, ["Linear", "state_dict()"]),
        (Payload(), ["state_dict()"]),
        ({}, ["no tensors"]),
        ({"model_state": {}}, ["no tensors"]),
        ({"a": torch.zeros(1), "epoch": 3}, ["'epoch' is a int"]),
        ({1: torch.zeros(1)}, ["1 is a Tensor"]),
        ([torch.zeros(1)], ["a list"]),
        (torch.zeros(1), ["a Tensor"]),
    ],
)
def test_what_is_no_dict_of_tensors_is_refused(
    tmp_path: Path, content: object, expected: list[str]
) -> None:
    path = tmp_path / "init.pt"
    torch.save(content, path)
    with pytest.raises(CheckpointInvalidError) as caught:
        load_checkpoint(path)
    for part in ["init.pt", *expected]:
        assert part in str(caught.value)
    assert not Path("/tmp/training-unpickled").exists()


@pytest.mark.parametrize("name", ["init.safetensors", "init.pt"])
def test_damaged_files_are_refused_whatever_the_damage(tmp_path: Path, name: str) -> None:
    good = tmp_path / name
    if name.endswith("pt"):
        torch.save(reference(), good)
    else:
        save_file(reference(), good)
    content = good.read_bytes()
    pickled = pickle.dumps({"a": 1, "b": [1.5, "x"], "c": (1,)})
    random.seed(1)
    for number in range(120):
        damaged = bytearray(content if number % 2 else pickled)
        for _ in range(1 + number // 10):
            damaged[random.randrange(len(damaged))] = random.randrange(256)
        bad = tmp_path / f"bad{number}{good.suffix}"
        bad.write_bytes(bytes(damaged)[: random.randrange(1, len(damaged) + 1)])
        with contextlib.suppress(CheckpointInvalidError):
            assert all(isinstance(value, torch.Tensor) for value in load_checkpoint(bad).values())
    for content in (b"", b"not weights", b"\0" * 64, b"\x80\x02}q\x00."):
        bad = tmp_path / f"empty{good.suffix}"
        bad.write_bytes(content)
        with pytest.raises(CheckpointInvalidError, match="empty"):
            load_checkpoint(bad)


def test_an_unknown_suffix_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointInvalidError, match=r"ends in \.safetensors"):
        load_checkpoint(tmp_path / "init.h5")
    for suffix in (".pt", ".safetensors"):
        with pytest.raises(CheckpointInvalidError, match="init"):
            load_checkpoint(tmp_path / f"init{suffix}")
    (tmp_path / "dir.pt").mkdir()
    with pytest.raises(CheckpointInvalidError):
        load_checkpoint(tmp_path / "dir.pt")


def test_good_weights_come_back_detached_contiguous_in_order_and_in_the_model_s_dtypes() -> None:
    base = torch.arange(6.0, dtype=torch.float64, requires_grad=True).reshape(3, 2)
    given = {
        "mask": torch.tensor([False, True]),
        "count": torch.tensor(9, dtype=torch.int32),
        "b": nn.Parameter(torch.ones(3, dtype=torch.float16)),
        "a": base.t(),
    }
    checked = check_weights(given, reference(), "worker-0")
    assert list(checked) == ["a", "b", "count", "mask"]
    for name, expected in reference().items():
        assert checked[name].dtype == expected.dtype
        assert checked[name].shape == expected.shape
        assert checked[name].is_contiguous()
        assert not checked[name].requires_grad
        assert type(checked[name]) is torch.Tensor
    assert checked["a"].tolist() == [[0, 2, 4], [1, 3, 5]]


NAN = float("nan")


@pytest.mark.parametrize(
    ("change", "error", "tensor", "expected"),
    [
        ({"a": None}, MissingTensorError, "a", "a [2, 3] is missing"),
        ({"c": torch.zeros(1)}, UnexpectedTensorError, "c", "the model has no c"),
        ({"a": torch.zeros(3, 2)}, ShapeMismatchError, "a", "[3, 2], the model has [2, 3]"),
        ({"a": torch.zeros(2, 3).numpy()}, UnexpectedTensorError, "a", "numpy.ndarray"),
        ({"a": [1.0]}, UnexpectedTensorError, "a", "builtins.list"),
        ({"a": torch.zeros(2, 3, device="meta")}, UnexpectedTensorError, "a", "meta"),
        ({"a": torch.zeros(2, 3, dtype=torch.cfloat)}, DtypeMismatchError, "a", "complex64"),
        ({"count": torch.tensor(1.5)}, DtypeMismatchError, "count", "float32, the model has int64"),
        ({"mask": torch.tensor([2, 0])}, DtypeMismatchError, "mask", "int64"),
        ({"a": torch.tensor([[0, NAN, 0], [0, 0, NAN]])}, NonFiniteWeightsError, "a", "2 of 6"),
        ({"b": torch.tensor([0, math.inf, 0])}, NonFiniteWeightsError, "b", "1 of 3"),
        (
            {"b": torch.full((3,), 1e39, dtype=torch.float64)},
            NonFiniteWeightsError,
            "b",
            "overflow",
        ),
    ],
)
def test_every_fault_names_worker_and_tensor(
    change: dict[str, Any], error: type[WeightsError], tensor: str, expected: str
) -> None:
    given: dict[str, Any] = reference()
    for name, value in change.items():
        if value is None:
            del given[name]
        else:
            given[name] = value
    with pytest.raises(error) as caught:
        check_weights(given, reference(), "worker-3")
    assert str(caught.value).startswith("worker-3: ")
    assert expected in str(caught.value)
    assert caught.value.tensor == tensor
    assert caught.value.fix


def test_empty_weights() -> None:
    with pytest.raises(EmptyWeightsError, match="worker-1: the weights are empty"):
        check_weights({}, reference(), "worker-1")


def test_all_faults_are_told_at_once_and_the_gravest_gives_the_class() -> None:
    given = {"a": torch.zeros(1), "b": torch.zeros(3), "x": torch.zeros(1)}
    with pytest.raises(MissingTensorError) as caught:
        check_weights(given, reference(), "worker-0")
    for part in ("count [] is missing", "mask [2] is missing", "no x", "a has shape [1]"):
        assert part in str(caught.value)


def test_many_faults_are_counted_not_listed() -> None:
    names = {f"t{i:03}": torch.zeros(1) for i in range(500)}
    with pytest.raises(MissingTensorError) as caught:
        check_weights({"t000": torch.zeros(1)}, names, "worker-0")
    assert "and 496 more" in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod."])
def test_a_wrapper_s_prefix_is_explained(prefix: str) -> None:
    given = {prefix + name: value for name, value in reference().items()}
    with pytest.raises(WeightsError, match=re.escape(prefix + "state_dict")):
        check_weights(given, reference(), "worker-0")


def test_an_integer_that_does_not_fit_is_refused() -> None:
    with pytest.raises(DtypeMismatchError, match="cannot hold"):
        check_weights({"n": torch.tensor(300)}, {"n": torch.tensor(1, dtype=torch.int8)}, "w")


def test_an_infinity_that_the_model_holds_on_purpose_is_accepted() -> None:
    """An attention mask of -inf is a buffer of the model."""
    mask = torch.tensor([0.0, -math.inf])
    assert check_weights({"m": mask.clone()}, {"m": mask}, "w")["m"].tolist() == [0.0, -math.inf]
    for bad in ([-math.inf, -math.inf], [0.0, math.inf], [0.0, NAN]):
        with pytest.raises(NonFiniteWeightsError, match="1 of 2"):
            check_weights({"m": torch.tensor(bad)}, {"m": mask}, "w")
    with pytest.raises(NonFiniteWeightsError):
        check_weights({"m": torch.tensor([NAN])}, {"m": torch.tensor([NAN])}, "w")


def test_tied_and_viewed_and_inference_tensors_are_given_their_own_storage(tmp_path: Path) -> None:
    shared = torch.arange(12.0)
    with torch.inference_mode():
        made = torch.ones(2)
    given = {"one": shared, "two": shared, "part": shared[3:6], "odd": shared[::2], "inf": made}
    result = portable(given)
    pointers = [tensor.untyped_storage().data_ptr() for tensor in result.values()]
    assert len(set(pointers)) == len(pointers)
    assert not result["inf"].is_inference()
    save_weights(tmp_path / "tied.safetensors", given, {"round": "3"})
    assert digest(load_weights(tmp_path / "tied.safetensors")) == digest(given)


@pytest.mark.parametrize(
    "dtype",
    [
        torch.float64,
        torch.float16,
        torch.bfloat16,
        torch.float8_e4m3fn,
        torch.int8,
        torch.int64,
        torch.uint8,
        torch.bool,
    ],
)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3)])
def test_every_dtype_and_shape_goes_through_check_file_and_digest(
    tmp_path: Path, dtype: torch.dtype, shape: tuple[int, ...]
) -> None:
    weights = {"x": torch.ones(shape).to(dtype)}
    checked = check_weights(weights, {"x": torch.zeros(shape).to(dtype)}, "w")
    save_weights(tmp_path / "x.safetensors", checked)
    loaded = load_weights(tmp_path / "x.safetensors")
    assert loaded["x"].dtype == dtype
    assert loaded["x"].shape == shape
    assert digest(loaded) == digest(weights)


def test_the_digest_tells_names_shapes_dtypes_and_values_apart_but_not_orders() -> None:
    one = {"a": torch.zeros(2, 3), "b": torch.ones(1)}
    assert digest(one) == digest(dict(reversed(one.items())))
    others = [
        {"a": torch.zeros(3, 2), "b": torch.ones(1)},
        {"a": torch.zeros(2, 3), "c": torch.ones(1)},
        {"a": torch.zeros(2, 3), "b": torch.ones(1).int()},
        {"a": torch.zeros(2, 3), "b": torch.full((1,), 1.0000001)},
    ]
    for left, right in itertools.combinations([one, *others], 2):
        assert digest(left) != digest(right)


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_weights(path, {"a": torch.zeros(1)})
    before = file_sha256(path)
    with pytest.raises(Exception, match=r"metadata|str|argument"):
        save_weights(path, {"a": torch.ones(1)}, {"round": 3})  # type: ignore[dict-item]
    assert file_sha256(path) == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.safetensors"]
