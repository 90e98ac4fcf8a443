"""Row 31: training without the global weights is detected; ordinary training is not."""

from __future__ import annotations

import copy
import io
import multiprocessing
import os
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from fedjob_runtime.training.context import TrainingContext
from fedjob_runtime.training.forms import run_training
from fedjob_runtime.training.initial_weights import (
    InitialWeights,
    cosine,
    not_loaded_warning,
)
from fedjob_runtime.training.model import build_model, load_user_module, model_weights
from fedjob_runtime.training.returns import TrainingResult

MODEL = """
import copy
import torch
from collections import OrderedDict
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(128, 32), nn.ReLU(), nn.Linear(32, 10))

    def forward(self, x):
        return self.body(x)

def reset(model):
    for part in model.modules():
        if hasattr(part, "reset_parameters"):
            part.reset_parameters()

def fit(model, optimizer="Adam", lr=1e-3, epochs=2, decay=0.0):
    model.train()
    digits = load_digits()
    x = torch.tensor(digits.images[:256], dtype=torch.float32).unsqueeze(1) / 16
    y = torch.tensor(digits.target[:256])
    options = {"lr": lr, "weight_decay": decay}
    trained = [p for p in model.parameters() if p.requires_grad]
    step = getattr(torch.optim, optimizer)(trained, **options)
    for _ in range(epochs):
        for batch in torch.arange(256).split(64):
            step.zero_grad()
            cross_entropy(model(x[batch]), y[batch]).backward()
            step.step()
    return {"weights": model.state_dict(), "samples": 256}

def fl_train_model(payload):
    initial = payload["initial_weights"]
    env = payload["env"]
    model = Net()
"""
B = "\ndef fl_train(model, env, out_dir, logger=None):\n"

LOADS = {
    "set_weights": "model.set_weights(initial); return fit(model)",
    "load_state_dict": "model.load_state_dict(initial); return fit(model)",
    "assign": "model.load_state_dict(initial, assign=True); return fit(model)",
    "dict": "model.load_state_dict(dict(initial)); return fit(model)",
    "stars": "model.load_state_dict({**initial}); return fit(model)",
    "keywords": "model.load_state_dict((lambda **w: w)(**initial)); return fit(model)",
    "ordered": "model.load_state_dict(OrderedDict(initial)); return fit(model)",
    "deepcopy": "model.load_state_dict(copy.deepcopy(initial)); return fit(model)",
    "items": "model.load_state_dict({k: v.clone() for k, v in initial.items()}); return fit(model)",
    "loop": "[p.data.copy_(initial[n]) for n, p in model.named_parameters()]; return fit(model)",
    "sgd": "model.set_weights(initial); return fit(model, 'SGD', 0.1)",
    "adam fast": "model.set_weights(initial); return fit(model, 'Adam', 0.01)",
    "adamw": "model.set_weights(initial); return fit(model, 'AdamW', 0.01, decay=0.1)",
    "rmsprop": "model.set_weights(initial); return fit(model, 'RMSprop', 0.003)",
    "long": "model.set_weights(initial); return fit(model, epochs=12)",
    "no epochs": "model.set_weights(initial); return fit(model, epochs=0)",
    "frozen": "model.set_weights(initial); model.body[0].requires_grad_(False); return fit(model)",
    "half": "model.set_weights(initial); r = fit(model); r['weights'] = {k: v.half() if "
    "v.is_floating_point() else v for k, v in r['weights'].items()}; return r",
}
FORGETS = {
    "never read": "return fit(model)",
    "names only": "print(list(initial), len(initial)); return fit(model)",
    "same seed every round": "torch.manual_seed(0); return fit(Net())",
    "read, not loaded": "print(sum(v.numel() for v in initial.values())); return fit(model)",
    "loaded into another": "model.set_weights(initial); return fit(Net())",
    "no name fits": "named = {'x.' + k: v for k, v in initial.items()}; "
    "model.load_state_dict(named, strict=False); "
    "return fit(model)",
    "reset after loading": "model.set_weights(initial); reset(model); return fit(model)",
}
B_GOOD = {
    "plain": "    return fit(model)\n",
    "sgd": "    return fit(model, 'SGD', 0.1)\n",
    "copy": "    return fit(copy.deepcopy(model))\n",
}
B_BAD = {
    "own model": "    return fit(Net())\n",
    "reset": "    reset(model)\n    return fit(model)\n",
}


@pytest.fixture(autouse=True)
def _process() -> Iterator[None]:
    path, threads = list(sys.path), torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(11)
    yield
    torch.set_num_threads(threads)
    sys.path[:] = path
    sys.modules.pop("model_def", None)


@pytest.fixture
def train(tmp_path: Path) -> Callable[[str, int], TrainingResult]:
    """Runs a model_def.py; round 0 starts at a random model, round 3 at a trained one."""

    def run(text: str, round_number: int) -> TrainingResult:
        custom, root = tmp_path / "custom", tmp_path / "shard"
        custom.mkdir()
        root.mkdir()
        (custom / "model_def.py").write_text(text)
        module = load_user_module(custom, "model_def")
        torch.manual_seed(0)
        model = build_model(module, "Net", {}, 0)
        if round_number:
            module.fit(model, "Adam", 0.01, 3)
        weights = copy.deepcopy(model_weights(model))
        torch.manual_seed(round_number + 100)
        context = TrainingContext("worker-5", "job", round_number, root)
        return run_training(module, None, build_model(module, "Net", {}, 0), weights, context)

    return run


@pytest.mark.parametrize("round_number", [0, 3])
@pytest.mark.parametrize("kind", LOADS)
def test_ordinary_training_gives_no_warning(
    train: Callable[[str, int], TrainingResult], kind: str, round_number: int
) -> None:
    assert train(MODEL + "    " + LOADS[kind] + "\n", round_number).warnings == ()


@pytest.mark.parametrize("round_number", [0, 3])
@pytest.mark.parametrize("kind", FORGETS)
def test_forgotten_weights_are_warned_of_and_never_an_error(
    train: Callable[[str, int], TrainingResult], kind: str, round_number: int
) -> None:
    result = train(MODEL + "    " + FORGETS[kind] + "\n", round_number)
    assert len(result.warnings) == 1
    assert result.warnings[0].reason == "WeightsNotLoaded"
    assert "set_weights" in result.warnings[0].message
    assert result.samples == 256


@pytest.mark.parametrize(
    ("kind", "warns"), [(k, False) for k in B_GOOD] + [(k, True) for k in B_BAD]
)
def test_form_b_has_them_loaded_and_is_warned_only_where_it_throws_them_away(
    train: Callable[[str, int], TrainingResult], kind: str, warns: bool
) -> None:
    body = (B_BAD if warns else B_GOOD)[kind]
    text = MODEL.split("def fl_train_model")[0] + B + body
    warnings = train(text, 0).warnings
    assert [note.reason for note in warnings] == (["WeightsNotLoaded"] if warns else [])


def weights() -> InitialWeights:
    return InitialWeights({"a": torch.ones(2), "b": torch.zeros(1)})


READS: dict[str, Callable[[InitialWeights], Any]] = {
    "[]": lambda w: {"a": w["a"], "b": w["b"]},
    "get": lambda w: {n: w.get(n) for n in w},
    "items": lambda w: {n: v for n, v in w.items()},  # noqa: C416 (what users write)
    "values": lambda w: dict(zip(w, w.values(), strict=True)),
    "dict": dict,
    "OrderedDict": OrderedDict,
    "stars": lambda w: {**w},
    "keywords": lambda w: (lambda **k: k)(**cast("Any", w)),
    "or": lambda w: w | {},
    "ror": lambda w: {} | w,
    "update": lambda w: _updated({}, w),
    "copy": lambda w: w.copy(),
    "copy.copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pop": lambda w: {n: w.pop(n) for n in list(w)},
    "popitem": lambda w: dict(w.popitem() for _ in range(2)),
    "setdefault": lambda w: {n: w.setdefault(n) for n in w},
    "torch.save": lambda w: _saved(w),
    "match": lambda w: _matched(w),
}


def _updated(target: dict[str, Any], other: Any) -> dict[str, Any]:
    target.update(other)
    return target


def _saved(value: Any) -> Any:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


def _matched(value: Any) -> Any:
    match value:
        case {"a": first, "b": second}:
            return {"a": first, "b": second}
    return None


@pytest.mark.parametrize("how", READS)
def test_every_way_to_take_a_tensor_gives_it_and_is_seen(how: str) -> None:
    given = weights()
    assert isinstance(given, dict)
    assert not given.was_read
    taken = READS[how](given)
    assert given.was_read
    assert {name: value.tolist() for name, value in taken.items()} == {"a": [1, 1], "b": [0]}
    assert not isinstance(taken, InitialWeights)


@pytest.mark.parametrize(
    "look",
    [len, list, bool, lambda w: "a" in w, lambda w: list(w.keys()), sorted, lambda w: w == {}],
)
def test_looking_at_names_is_not_taking(look: Callable[[InitialWeights], Any]) -> None:
    given = weights()
    look(given)
    assert not given.was_read


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_that_takes_is_seen() -> None:
    given = weights()
    child = os.fork()
    if child == 0:
        given["a"]
        os._exit(0)
    os.waitpid(child, 0)
    assert given.was_read


def test_a_spawned_child_gets_a_plain_dict() -> None:
    given = weights()
    multiprocessing.reduction.ForkingPickler.dumps(given)
    assert given.was_read


def test_the_function_s_changes_do_not_reach_the_global_weights() -> None:
    source = {"a": torch.ones(2)}
    InitialWeights(source)["a"].zero_()
    assert source["a"].tolist() == [1, 1]


def test_models_too_small_or_of_one_matrix_are_not_judged_by_their_direction() -> None:
    for layers in ([nn.Linear(4, 4), nn.Linear(4, 4)], [nn.Linear(200, 50)]):
        one, other = nn.Sequential(*layers), nn.Sequential(*layers)
        assert cosine(model_weights(one), model_weights(other)) is None
    zero = {"a": torch.zeros(50, 50), "b": torch.zeros(50, 50)}
    assert cosine(zero, zero) is None
    assert load_digits().images.shape == (1797, 8, 8)


def test_form_b_that_trains_a_model_of_its_own_is_found_even_when_it_starts_alike(
    tmp_path: Path,
) -> None:
    """Row 31: the model passed in is untouched and what came back points another way."""
    torch.manual_seed(0)
    start = {"a": torch.randn(40, 40), "b": torch.randn(40, 40)}
    # A cosine of about 0.3: no sign by itself, after a few epochs from a start of one's own.
    other = {name: 0.3 * value + torch.randn(40, 40) for name, value in start.items()}
    assert not_loaded_warning(None, start, other, "fl_train", untouched=False) is None
    warning = not_loaded_warning(None, start, other, "fl_train", untouched=True)
    assert warning is not None
    assert "train the model that is passed in" in warning.message
    near = {name: value + 0.1 * torch.randn(40, 40) for name, value in start.items()}
    assert not_loaded_warning(None, start, near, "fl_train", untouched=True) is None
