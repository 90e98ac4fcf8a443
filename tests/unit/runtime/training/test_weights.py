"""Checkpoints, the checks of returned weights, and what is written (CONTRACT section 1, row 40)."""

from __future__ import annotations

import contextlib
import itertools
import pickle
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from fedjob_runtime.training.errors import (
    CheckpointInvalidError,
)
from fedjob_runtime.training.weights import (
    check_weights,
    digest,
    file_sha256,
    load_checkpoint,
    load_weights,
    save_weights,
)
from support.training_run import weights_like_a_model


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ckpt", ".bin"])
@pytest.mark.parametrize("nest", [None, "model_state", "state_dict", "weights", "model_state_dict"])
def test_a_checkpoint_may_nest_its_weights(tmp_path: Path, suffix: str, nest: str | None) -> None:
    """Row 40."""
    path = tmp_path / f"init{suffix}"
    torch.save({nest: weights_like_a_model(), "epoch": 3} if nest else weights_like_a_model(), path)
    loaded = load_checkpoint(path)
    assert digest(loaded) == digest(weights_like_a_model())


def test_a_safetensors_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "init.safetensors"
    save_file(weights_like_a_model(), path)
    assert digest(load_checkpoint(path)) == digest(weights_like_a_model())


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
        torch.save(weights_like_a_model(), good)
    else:
        save_file(weights_like_a_model(), good)
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


def test_weights_have_the_mode_of_any_new_file(tmp_path: Path) -> None:
    """The supervisor of a server reads them as another user of the group."""
    plain, saved = tmp_path / "plain", tmp_path / "weights.safetensors"
    plain.write_bytes(b"")
    save_weights(saved, {"a": torch.zeros(1)})
    assert saved.stat().st_mode == plain.stat().st_mode
