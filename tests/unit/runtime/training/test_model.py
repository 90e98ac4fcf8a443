"""Loading model_def.py, building its class, set_weights (CONTRACT section 1, rows 24 and 40)."""

from __future__ import annotations

import copy
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from fedjob_runtime.training.errors import (
    MissingTensorError,
    ModelInvalidError,
    ShapeMismatchError,
    TrainingError,
    WeightsError,
)
from fedjob_runtime.training.model import (
    build_model,
    load_user_module,
    model_weights,
    set_weights,
)
from support.training_run import DENSE_NET

Load = Callable[..., ModuleType]


def build(module: ModuleType, class_name: str, args: dict[str, Any], num_classes: int) -> Any:
    """As build_model; the user's class has attributes that no type checker knows."""
    return build_model(module, class_name, args, num_classes)


@pytest.fixture
def load(tmp_path: Path) -> Iterator[Load]:
    """Writes model_def.py (and neighbours) and loads it; the process is left as it was."""
    names, path = set(sys.modules), list(sys.path)

    def write_and_load(text: str, **neighbours: str) -> ModuleType:
        for name, content in neighbours.items():
            (tmp_path / f"{name}.py").write_text(content)
        (tmp_path / "model_def.py").write_text(text)
        return load_user_module(tmp_path, "model_def")

    yield write_and_load
    sys.path[:] = path
    for name in set(sys.modules) - names:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in str(
            sys.modules[name].__file__
        ):
            del sys.modules[name]


@pytest.mark.parametrize(
    ("constructor", "args", "num_classes", "expected"),
    [
        ("self, num_classes=2", {}, 5, 5),
        ("self, num_classes=2", {"num_classes": 4}, 5, 4),
        ("self, num_classes=2", {}, 0, 2),
        ("self, n=3", {}, 5, 3),
        ("self, *, num_classes", {}, 5, 5),
    ],
)
def test_num_classes_is_passed_where_it_is_taken_and_not_given(
    load: Load, constructor: str, args: dict[str, int], num_classes: int, expected: int
) -> None:
    name = constructor.split(", ")[-1].split("=")[0]
    module = load(
        "from torch import nn\nclass Net(nn.Module):\n"
        f"    def __init__({constructor}):\n"
        f"        super().__init__()\n        self.head = nn.Linear(2, {name})\n"
    )
    assert build(module, "Net", args, num_classes).head.out_features == expected


def test_num_classes_goes_through_keywords_to_a_base_class_only(load: Load) -> None:
    module = load(
        DENSE_NET
        + "class Sub(Net):\n    def __init__(self, **kw):\n"
        + "        super().__init__(hidden=5, **kw)\n"
        + "class Plain(nn.Module):\n    def __init__(self, **kw):\n        super().__init__()\n"
        "        self.given = kw\n        self.f = nn.Linear(1, 1)\n"
    )
    assert build(module, "Sub", {}, 9).head.out_features == 9
    assert build(module, "Plain", {}, 9).given == {}


@pytest.mark.parametrize(
    ("text", "class_name", "args", "expected"),
    [
        (DENSE_NET, "Nett", {}, ["Nett", "does not exist", "it has Net", "className"]),
        (DENSE_NET + "Thing = 3\n", "Thing", {}, ["not a class derived from torch.nn.Module"]),
        (DENSE_NET, "Net", {"width": 3}, ["width", "spec.model.args"]),
        (DENSE_NET, "Net", {"hidden": "x"}, ["TypeError", "line 8"]),
        ("from torch import nn\nclass E(nn.Module): pass\n", "E", {}, ["has no weights"]),
        (
            "from torch import nn\nclass L(nn.Module):\n    def __init__(self):\n"
            "        super().__init__()\n        self.f = nn.LazyLinear(2)\n",
            "L",
            {},
            ["L.f.weight", "lazy"],
        ),
        (
            "from torch import nn\nclass L(nn.Module):\n    def __init__(self):\n"
            "        super().__init__()\n        self.f = nn.Linear(2, 2, device='meta')\n",
            "L",
            {},
            ["meta"],
        ),
        (
            "import sys\nfrom torch import nn\nclass L(nn.Module):\n    def __init__(self):\n"
            "        sys.exit(1)\n",
            "L",
            {},
            ["SystemExit", "line 5, in __init__"],
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_a_class_that_gives_no_model_is_an_error(
    load: Load, text: str, class_name: str, args: dict[str, object], expected: list[str]
) -> None:
    module = load(text)
    with pytest.raises(ModelInvalidError) as caught:
        build(module, class_name, args, 0)
    for part in expected:
        assert part in str(caught.value)


def test_set_weights_is_mixed_in_without_changing_what_the_model_is(load: Load) -> None:
    module = load(DENSE_NET)
    model = build(module, "Net", {}, 0)
    assert type(model) is module.Net
    before = list(model.state_dict())
    source = {name: torch.ones_like(value) for name, value in model.state_dict().items()}
    model.set_weights(source)
    assert list(model.state_dict()) == before
    assert all(torch.equal(value, source[name]) for name, value in model.state_dict().items())
    assert torch.equal(copy.deepcopy(model).head.weight, model.head.weight)
    assert isinstance(pickle.loads(pickle.dumps(model)), module.Net)  # noqa: S301 (our own)
    # Also on the instances that the user's own function builds, before the class is built by us.
    assert hasattr(module.Net(), "set_weights")
    assert not hasattr(nn.Linear(1, 1), "set_weights")


def test_a_set_weights_of_the_class_stays(load: Load) -> None:
    module = load(DENSE_NET + "    def set_weights(self, weights):\n        self.mine = weights\n")
    model = build(module, "Net", {}, 0)
    model.set_weights({"a": 1})
    assert model.mine == {"a": 1}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16, torch.int64])
def test_set_weights_casts(load: Load, dtype: torch.dtype) -> None:
    model = build(load(DENSE_NET), "Net", {}, 0)
    weights = {name: torch.full_like(v, 2) for name, v in model_weights(model).items()}
    weights["head.weight"] = weights["head.weight"].to(dtype)
    model.set_weights(weights)
    assert model.head.weight.dtype == torch.float32
    assert float(model.head.weight.detach()[0, 0]) == 2


@pytest.mark.parametrize(
    ("change", "error", "expected"),
    [
        (lambda w: w.pop("head.bias"), MissingTensorError, "head.bias"),
        (
            lambda w: w.update({"head.weight": torch.zeros(2, 9)}),
            ShapeMismatchError,
            r"head.weight has shape \[2, 9\], the model has \[2, 3\]",
        ),
        (lambda w: w.update({"tail": torch.zeros(1)}), WeightsError, "no tail"),
        (lambda w: w.clear(), WeightsError, "empty"),
    ],
)
def test_set_weights_is_strict_and_loads_nothing_of_what_it_refuses(
    load: Load,
    change: Callable[[dict[str, torch.Tensor]], object],
    error: type[TrainingError],
    expected: str,
) -> None:
    model = build(load(DENSE_NET), "Net", {}, 0)
    before = copy.deepcopy(model.state_dict())
    weights = {name: value + 1 for name, value in model_weights(model).items()}
    change(weights)
    with pytest.raises(error, match=expected):
        set_weights(model, weights)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_extra_state_travels_with_the_weights(load: Load) -> None:
    text = DENSE_NET + (
        "    def get_extra_state(self):\n        return {'a': self.a}\n"
        "    def set_extra_state(self, state):\n        self.a = state['a']\n    a = 1\n"
    )
    model, other = (build(load(text), "Net", {}, 0) for _ in range(2))
    model.a = 5
    weights = model_weights(model)
    assert set(weights) - set(model.state_dict()) == {"_extra_state.json"}
    other.set_weights(weights)
    assert other.a == 5
    other.set_weights({**model.state_dict(), "_extra_state": {"a": 7}})
    assert other.a == 7
    del weights["_extra_state.json"]
    other.set_weights(weights)
    assert other.a == 7


def test_extra_state_that_cannot_travel_is_refused_before_round_1(load: Load) -> None:
    text = DENSE_NET + "    def get_extra_state(self):\n        return {'a': {object()}}\n"
    with pytest.raises(ModelInvalidError, match=r"_extra_state: .* builtins.set"):
        build(load(text), "Net", {}, 0)


MAKERS = """
import functools
from dataclasses import dataclass, field

def make(num_classes=3, hidden=4):
    return nn.Sequential(nn.Linear(2, hidden), nn.Linear(hidden, num_classes))
half = functools.partial(make, hidden=7)
bound = functools.partial(make, num_classes=9)
ready = make(5)
def none(): return None
async def later(): return make()
class Outer:
    class Inner(Net): pass
"""


@pytest.mark.parametrize(
    ("name", "args", "num_classes", "expected"),
    [
        ("make", {}, 0, 3),
        ("make", {"hidden": 6}, 8, 8),
        ("half", {}, 8, 8),
        ("bound", {}, 8, 9),
        ("ready", {}, 8, 5),
        ("Outer.Inner", {}, 6, 6),
    ],
)
def test_a_function_a_partial_an_instance_and_a_nested_class_make_the_model(
    load: Load, name: str, args: dict[str, int], num_classes: int, expected: int
) -> None:
    module = load(DENSE_NET + MAKERS)
    model = build(module, name, args, num_classes)
    *_, last = model.state_dict().values()
    assert last.shape == (expected,)
    model.set_weights({key: torch.ones_like(v) for key, v in model.state_dict().items()})
    assert float(last[0]) == 1
    copied = pickle.loads(pickle.dumps(copy.deepcopy(model)))  # noqa: S301 (our own)
    copied.set_weights({key: torch.zeros_like(v) for key, v in model.state_dict().items()})
    assert float(last[0]) == 1
    # Nobody else's model of the same class is touched, nor the module's instance.
    assert not hasattr(nn.Sequential(), "set_weights")
    *_, fresh = build(module, name, args, num_classes).state_dict().values()
    assert not torch.equal(last, fresh)


@pytest.mark.parametrize(
    ("name", "args", "expected"),
    [
        ("none", {}, "none returned a NoneType, not a torch.nn.Module"),
        ("ready", {"hidden": 2}, "ready is a model already and takes no arguments"),
        ("make", {"width": 2}, "spec.model.args"),
        ("Outer", {}, "Outer in model_def.py is not a class derived from torch.nn.Module"),
        ("Outer.Other", {}, "Outer.Other does not exist"),
    ],
)
def test_what_makes_no_model_is_an_error(
    load: Load, name: str, args: dict[str, int], expected: str
) -> None:
    with pytest.raises(ModelInvalidError, match=expected):
        build(load(DENSE_NET + MAKERS), name, args, 0)


@pytest.mark.parametrize(
    ("buffer", "expected"),
    [
        (
            "torch.zeros(2, dtype=torch.complex32)",
            "x is complex32, which cannot be saved",
        ),
        ("torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)", "x is quantised"),
    ],
)
@pytest.mark.filterwarnings("ignore:ComplexHalf", "ignore:.*[qQ]uantiz")
def test_dtypes_without_a_mean_are_refused_before_round_1(
    load: Load, buffer: str, expected: str
) -> None:
    made = f"super().__init__(); self.register_buffer('x', {buffer})"
    text = DENSE_NET.replace("super().__init__()", made)
    with pytest.raises(ModelInvalidError, match=expected):
        build(load(text), "Net", {}, 0)
