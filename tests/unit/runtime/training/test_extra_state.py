"""Extra state of modules as tensors and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from fedjob_runtime.training.errors import ModelInvalidError
from fedjob_runtime.training.extra_state import decoded, encode, is_extra_state
from fedjob_runtime.training.portable import portable
from fedjob_runtime.training.weights import load_weights, save_weights

NAME = "a.b._extra_state"
VALUES: dict[str, Any] = {
    "none": None,
    "number": 3,
    "float": 0.5,
    "text": "größe",
    "list": [1, [True, None]],
    "tuple": (1, ("a",)),
    "dict": {"x": 1, 2: {"tensor": 0}, (1, 2): "y"},
    "numpy scalar": np.float32(0.5),
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_plain_values_come_back_as_they_were(value: Any, tmp_path: Path) -> None:
    save_weights(tmp_path / "x.safetensors", portable({"w": torch.ones(1), NAME: value}))
    loaded = load_weights(tmp_path / "x.safetensors")
    assert all(is_extra_state(name) for name in loaded if name != "w")
    found = decoded(loaded)
    assert set(found) == {"w", NAME}
    assert found[NAME] == value
    assert isinstance(found[NAME], tuple) is isinstance(value, tuple)


def test_tensors_within_are_entries_of_their_own() -> None:
    value = {"mean": torch.ones(2), "more": [torch.zeros(3, dtype=torch.int64)], "n": 1}
    flat = encode(NAME, value)
    assert set(flat) == {f"{NAME}.json", f"{NAME}.tensor0", f"{NAME}.tensor1"}
    found = decoded(flat)[NAME]
    assert torch.equal(found["mean"], value["mean"])
    assert torch.equal(found["more"][0], value["more"][0])


def test_a_tensor_keeps_its_name() -> None:
    assert decoded(encode(NAME, torch.ones(2)))[NAME].tolist() == [1, 1]


@pytest.mark.parametrize("value", [object(), {1}, [b"x"], nn.Linear(1, 1), {"a": np.ones(2)}])
def test_other_objects_are_refused_by_name_and_type(value: object) -> None:
    with pytest.raises(ModelInvalidError, match=NAME) as caught:
        encode(NAME, value)
    assert caught.value.tensor == NAME
    assert "return tensors, numbers" in caught.value.fix
