"""The three forms of training functions (CONTRACT section 1, rows 2, 8, 9, 20, 30, 36)."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from PIL import Image

from fedjob_runtime.training import generated
from fedjob_runtime.training.context import TrainingContext, pick_device
from fedjob_runtime.training.errors import (
    EmptyWeightsError,
    InvalidResultError,
    InvalidSamplesError,
    OutOfMemoryInTraining,
    TrainFunctionInvalidError,
    TrainingError,
    UserCodeError,
    WeightsError,
)
from fedjob_runtime.training.forms import run_training
from fedjob_runtime.training.model import build_model, load_user_module, model_weights
from fedjob_runtime.training.returns import TrainingResult
from fedjob_runtime.training.signatures import Form, find_train_function

NET = """
import torch
from torch import nn

CALLS = []

class Net(nn.Module):
    def __init__(self, num_classes=2):
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(2)
        self.norm = nn.BatchNorm1d(12)
        self.head = nn.Linear(12, num_classes)

    def forward(self, x):
        return self.head(self.norm(self.pool(x).flatten(1)))

"""
OK = '    return {"weights": Net().state_dict(), "samples": 3, "metrics": {"loss": 0.5}}\n'
EXTRA = {"alpha": 0.5, "names": ["a"]}


JOB = {"NUM_ROUNDS": 0, "NUM_CLIENTS": 0, "SHARD_NAME": ""}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    names, path, threads = set(sys.modules), list(sys.path), torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    sys.path[:] = path
    for name in set(sys.modules) - names:
        if name in ("model_def", "layers"):
            del sys.modules[name]


@pytest.fixture
def context(tmp_path: Path) -> TrainingContext:
    root = tmp_path / "shard"
    root.mkdir()
    return TrainingContext(
        worker="worker-1",
        job_id="ns/job",
        round=2,
        data_root=root,
        local_epochs=3,
        batch_size=4,
        learning_rate=0.01,
        num_classes=2,
        img_size=8,
        manifest_file="m.ndjson",
        extra=EXTRA,
    )


Train = Callable[..., TrainingResult]


@pytest.fixture
def module_of(tmp_path: Path) -> Callable[[str], ModuleType]:
    def make(text: str) -> ModuleType:
        custom = tmp_path / "custom"
        custom.mkdir()
        (custom / "model_def.py").write_text(NET + text)
        return load_user_module(custom, "model_def")

    return make


@pytest.fixture
def train(module_of: Callable[[str], ModuleType], context: TrainingContext) -> Train:
    """Writes a model_def.py and runs its training function from global weights of 0.5."""

    def run(
        text: str, name: str | None = None, weights: Any = None, **other: Any
    ) -> TrainingResult:
        module = module_of(text)
        model = build_model(module, "Net", {}, 2)
        if weights is None:
            weights = {k: torch.full_like(v, 0.5) for k, v in model_weights(model).items()}
            weights["norm.num_batches_tracked"] = torch.tensor(7)
        return run_training(module, name, model, weights, other.pop("context", context), **other)

    return run


def calls() -> list[Any]:
    return list(sys.modules["model_def"].CALLS)


@pytest.mark.parametrize(
    ("signature", "seen"),
    [
        ("payload", {"payload"}),
        ("payload, out_dir", {"payload", "out_dir"}),
        ("payload, out_dir, logger", {"payload", "out_dir", "logger"}),
        ("payload, logger=None, *, out_dir", {"payload", "out_dir", "logger"}),
        ("payload, logger", {"payload", "logger"}),
        ("out_dir, payload", {"payload", "out_dir"}),
        ("**kwargs", {"payload", "out_dir", "logger"}),
        ("payload, **kwargs", {"payload", "out_dir", "logger"}),
        ("payload, *args, other=3", {"payload"}),
    ],
)
def test_form_a_is_called_once_by_what_its_signature_accepts(
    train: Train, context: TrainingContext, signature: str, seen: set[str]
) -> None:
    """Row 8, and section 1's form A."""
    body = "    given = dict(locals()); given |= given.pop('kwargs', {})\n    CALLS.append(given)\n"
    logger = logging.getLogger("mine")
    result = train(f"def fl_train_model({signature}):\n{body}{OK}", logger=logger)
    assert result.samples == 3
    assert len(calls()) == 1
    given = {name: v for name, v in calls()[0].items() if name in ("payload", "out_dir", "logger")}
    assert set(given) == seen
    assert given.get("out_dir", context.out_dir) == context.data_root / "runs" / "round_2"
    assert context.out_dir.is_dir()
    assert getattr(given.get("logger"), "logger", logger) is logger


def test_form_a_s_payload_is_exactly_the_documented_one(
    train: Train, context: TrainingContext
) -> None:
    """Row 9."""
    train("def fl_train_model(payload):\n    CALLS.append(payload)\n" + OK)
    payload = calls()[0]
    assert set(payload) == {"dataset", "env", "initial_weights"}
    assert payload["dataset"] == {"data_root": str(context.data_root)}
    assert payload["env"] == {
        "SITE_NAME": "worker-1",
        "JOB_ID": "ns/job",
        "CURRENT_ROUND": 2,
        "DEVICE": "cpu",
        "local_epochs": 3,
        "batch_size": 4,
        "learning_rate": 0.01,
        "num_classes": 2,
        "img_size": 8,
        "manifest_file": "m.ndjson",
        **JOB,
        **EXTRA,
    }
    assert isinstance(payload["initial_weights"], dict)
    assert payload["initial_weights"]["norm.num_batches_tracked"].item() == 7
    assert float(payload["initial_weights"]["head.weight"][0, 0]) == 0.5


def test_form_b_gets_the_loaded_model_in_train_mode_and_the_documented_env(
    train: Train, context: TrainingContext
) -> None:
    """Rows 8, 9 and 31: the weights are loaded before train mode."""
    text = (
        "class Traced(Net):\n    def train(self, mode=True):\n"
        "        CALLS.append(('train', mode, self.head.weight[0, 0].item()))\n"
        "        return super().train(mode)\n"
        "Net = Traced\n"
        "def fl_train(model, env, out_dir, logger=None):\n"
        "    CALLS.append((model, env, out_dir, logger, model.training))\n"
        '    return {"state_dict": model.state_dict(), "samples": 5}\n'
    )
    result = train(text)
    (name, mode, weight), (model, env, out_dir, logger, training) = calls()
    assert (name, mode, weight) == ("train", True, 0.5)
    assert training
    assert type(model).__name__ == "Traced"
    assert out_dir == context.out_dir
    assert isinstance(logger, logging.LoggerAdapter)
    assert env == {
        "EPOCHS": 3,
        "BATCH_SIZE": 4,
        "LR": 0.01,
        "DATA_ROOT": str(context.data_root),
        "CURRENT_ROUND": 2,
        "SITE_NAME": "worker-1",
        "JOB_ID": "ns/job",
        "DEVICE": "cpu",
        "NUM_CLASSES": 2,
        "IMG_SIZE": 8,
        "MANIFEST_FILE": "m.ndjson",
        **JOB,
        **EXTRA,
    }
    assert float(result.weights["head.weight"][0, 0]) == 0.5
    assert int(result.weights["norm.num_batches_tracked"]) == 7


@pytest.mark.parametrize(
    "signature",
    [
        "model, env, out_dir, logger=None",
        "model, env, out_dir",
        "net, settings, folder, logger",
        "*, out_dir, env, model",
        "*args, **kwargs",
        "model, env, out_dir, other=1, logger=None",
    ],
)
def test_form_b_s_signatures(train: Train, signature: str) -> None:
    text = f"def fl_train({signature}):\n    CALLS.append(1)\n{OK}"
    assert train(text).samples == 3
    assert calls() == [1]


@pytest.mark.parametrize(
    ("text", "name", "form"),
    [
        ("def fl_train_model(payload): pass\ndef fl_train(model, env, out_dir): pass\n", None, "A"),
        (
            "def fl_train_model(payload): pass\ndef fl_train(model, env, out_dir): pass\n",
            "fl_train",
            "B",
        ),
        ("def fl_train(model, env, out_dir): pass\n", None, "B"),
        ("def mine(payload, out_dir): pass\n", "mine", "A"),
        ("def mine(model, env, out_dir): pass\n", "mine", "B"),
        ("", None, "C"),
        ("from fedjob_runtime.training.generated import fl_train\n", "fl_train", "C"),
    ],
)
def test_which_form_a_module_has(
    module_of: Callable[[str], ModuleType], text: str, name: str | None, form: str
) -> None:
    assert find_train_function(module_of(text), name).form == Form(form)


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("", "mine", "no function mine"),
        ("mine = 3\n", "mine", "a int, not a function"),
        ("", "Net", "not a function"),
        ("def fl_train_model(data): pass\n", None, "cannot be called with payload"),
        ("def fl_train_model(payload, other): pass\n", None, "give other parameters a default"),
        ("def fl_train_model(payload, /): pass\n", None, "cannot be called"),
        ("def fl_train_model(): pass\n", None, "write it as"),
        ("def fl_train(payload): pass\n", None, "model, env, out_dir"),
        ("def fl_train(model, env, out_dir, logger, more): pass\n", None, "write it as fl_train"),
        ("async def fl_train_model(payload): pass\n", None, "async"),
        ("def fl_train_model(payload): yield 1\n", None, "generator"),
    ],
)
def test_a_function_that_fits_no_form_is_refused_before_it_runs(
    module_of: Callable[[str], ModuleType], text: str, name: str | None, expected: str
) -> None:
    with pytest.raises(TrainFunctionInvalidError) as caught:
        find_train_function(module_of(text), name)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("body", "kind", "line", "expected"),
    [
        ("    return 1 / 0\n", "ZeroDivisionError", 18, "division by zero"),
        ("    raise SystemExit(4)\n", "SystemExit", 18, "return a dict"),
        ("    raise KeyboardInterrupt\n", "KeyboardInterrupt", 18, "return a dict"),
        (
            "    return step()\ndef step():\n    raise ValueError('bad')\n",
            "ValueError",
            20,
            "in step",
        ),
        ("    torch.zeros(2) @ torch.zeros(3)\n", "RuntimeError", 18, "fl_train_model in round 2"),
        ("    return np.zeros(3)\n", "NameError", 18, "import numpy as np"),
        ("    import absent_package\n", "ModuleNotFoundError", 18, "spec.model.requirements"),
        (
            "    class E(Exception):\n        def __str__(self): return 1/0\n    raise E\n",
            "E",
            20,
            "E",
        ),
    ],
)
@pytest.mark.parametrize("form", ["A", "B"])
def test_whatever_the_function_raises_becomes_an_error_with_its_line(
    train: Train, form: str, body: str, kind: str, line: int, expected: str
) -> None:
    head = (
        "def fl_train_model(payload):\n" if form == "A" else "def fl_train(model, env, out_dir):\n"
    )
    with pytest.raises(UserCodeError) as caught:
        train(head + body)
    error = caught.value
    assert (error.worker, error.exception_type, error.file, error.line) == (
        "worker-1",
        kind,
        "model_def.py",
        line,
    )
    assert expected.replace("fl_train_model", "fl_train") in str(error).replace(
        "fl_train_model", "fl_train"
    )
    assert str(error).startswith("worker-1: fl_train")
    assert f'model_def.py", line {line}' in error.tail
    assert "guard.py" not in error.tail
    assert len(str(error)) < 3500


def test_a_very_long_exception_is_cut(train: Train) -> None:
    with pytest.raises(UserCodeError) as caught:
        train("def fl_train_model(payload):\n    raise ValueError('x' * 10**6)\n")
    assert len(str(caught.value)) < 3500


OUT_OF_MEMORY = [
    "raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2 GiB')",
    "raise MemoryError",
    "torch.empty(2**60)",
    "raise RuntimeError('CUDA error: out of memory')",
    "raise RuntimeError('CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate')",
    "raise RuntimeError('DataLoader worker (pid 7) is killed by signal: Killed. ')",
    "raise ValueError('wrapped') from MemoryError()",
]


@pytest.mark.parametrize("statement", OUT_OF_MEMORY)
@pytest.mark.parametrize("form", ["A", "B", "C"])
def test_out_of_memory_says_reduce_batch_size_with_the_value(
    train: Train, context: TrainingContext, form: str, statement: str
) -> None:
    """Row 30; torch.empty(2**60) really asks the CPU's allocator."""
    heads = {
        "A": "def fl_train_model(payload):\n    ",
        "B": "def fl_train(model, env, out_dir):\n    ",
        "C": "Net.forward = lambda self, x: boom()\ndef boom():\n    ",
    }
    if form == "C":
        write_shard(context.data_root)
    with pytest.raises(OutOfMemoryInTraining) as caught:
        train(heads[form] + statement + "\n")
    error = caught.value
    assert error.reason == "OutOfMemory"
    assert "batch_size 4" in str(error)
    assert "reduce batch_size" in str(error)
    assert str(error).startswith("worker-1: ")
    assert "model_def.py line" in error.where


@pytest.mark.parametrize(
    "statement",
    ["raise RuntimeError('shape mismatch')", "raise ValueError('out of memory of names')"],
)
def test_other_errors_are_not_taken_for_out_of_memory(train: Train, statement: str) -> None:
    with pytest.raises(UserCodeError):
        train(f"def fl_train_model(payload):\n    {statement}\n")


def test_memory_held_by_the_failed_step_is_freed(train: Train) -> None:
    with pytest.raises(OutOfMemoryInTraining):
        train(
            "import weakref\ndef fl_train_model(payload):\n    batch = torch.zeros(10)\n"
            "    CALLS.append(weakref.ref(batch))\n    raise MemoryError\n"
        )
    assert calls()[0]() is None


@pytest.mark.parametrize(
    ("returned", "error"),
    [
        ("None", InvalidResultError),
        ("{'weights': {}, 'samples': 1}", WeightsError),
        ("{'weights': Net(num_classes=3).state_dict(), 'samples': 1}", WeightsError),
        ("{'weights': Net().state_dict(), 'samples': 0}", InvalidSamplesError),
    ],
)
@pytest.mark.parametrize("form", ["A", "B"])
def test_a_bad_result_names_the_worker(
    train: Train, form: str, returned: str, error: type[TrainingError]
) -> None:
    head = (
        "def fl_train_model(payload):\n" if form == "A" else "def fl_train(model, env, out_dir):\n"
    )
    with pytest.raises(error, match=r"^worker-1: "):
        train(f"{head}    return {returned}\n")


def test_set_weights_in_the_function_tells_worker_tensor_and_line(train: Train) -> None:
    text = (
        "def fl_train_model(payload):\n    model = Net(num_classes=5)\n"
        '    model.set_weights(payload["initial_weights"])\n'
    )
    with pytest.raises(WeightsError) as caught:
        train(text)
    assert str(caught.value).startswith("worker-1: head.weight has shape [2, 12]")
    assert "model_def.py line 19" in str(caught.value)


def test_an_earlier_try_s_file_does_not_count(train: Train, context: TrainingContext) -> None:
    context.out_dir.mkdir(parents=True)
    torch.save({"head.weight": torch.ones(1)}, context.out_dir / "state_dict.pt")
    with pytest.raises(InvalidResultError, match="does not exist"):
        train('def fl_train_model(payload):\n    return {"samples": 1}\n')


def test_weights_left_in_out_dir(train: Train) -> None:
    text = (
        "def fl_train_model(payload, out_dir):\n    model = Net()\n"
        '    model.set_weights(payload["initial_weights"])\n'
        '    torch.save({"model_state": model.state_dict()}, out_dir / "state_dict.pt")\n'
        '    return {"samples": 1}\n'
    )
    assert float(train(text).weights["head.weight"][0, 0]) == 0.5


@pytest.mark.parametrize("form", ["A", "B"])
def test_empty_weights_are_tolerated_in_round_0_only(
    train: Train, context: TrainingContext, form: str
) -> None:
    """Row 36: the model's own start is used."""
    text = {
        "A": 'def fl_train_model(payload):\n    CALLS.append(payload["initial_weights"])\n' + OK,
        "B": "def fl_train(model, env, out_dir):\n    CALLS.append({})\n" + OK,
    }[form]
    first = TrainingContext("worker-1", "ns/job", 0, context.data_root)
    result = train(text, weights={}, context=first)
    assert calls() == [{}]
    assert result.warnings == ()
    with pytest.raises(EmptyWeightsError, match="only round 0 may"):
        run_training(sys.modules["model_def"], None, torch.nn.Linear(1, 1), {}, context)
    assert len(calls()) == 1


@pytest.mark.parametrize("name", ["DEVICE", "STATE_DIR", "SITE_NAME"])
def test_extra_cannot_take_a_name_that_fedjob_sets(tmp_path: Path, name: str) -> None:
    with pytest.raises(TrainFunctionInvalidError, match=f"extra has {name}"):
        TrainingContext("w", "j", 0, tmp_path, extra={name: 1})


def test_fields_prevail_over_the_same_names_in_extra(tmp_path: Path) -> None:
    """The spec has taken the field from `extra`: a value that differs is of a faulty folder."""
    context = TrainingContext(
        "w", "j", 0, tmp_path, batch_size=8, extra={"BATCH_SIZE": 9, "batch_size": 9, "own": 1}
    )
    assert context.env()["BATCH_SIZE"] == context.documented_env()["batch_size"] == 8
    assert context.env()["own"] == context.documented_env()["own"] == 1


def test_the_context_from_the_job_folder_s_hyperparameters(tmp_path: Path) -> None:
    context = TrainingContext.from_hyperparameters(
        {"batch_size": 8, "extra": {"a": 1}},
        worker="worker-0",
        job_id="j",
        round=1,
        data_root=tmp_path / "x" / "..",
        device="cpu",
    )
    assert (context.batch_size, context.local_epochs, context.img_size) == (8, 2, 224)
    assert context.data_root == tmp_path
    assert context.env()["a"] == 1


def test_a_gpu_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto") == "cpu"
    with pytest.raises(TrainingError, match="sees no GPU"):
        pick_device("cuda")


def write_shard(root: Path, multi: bool = False, samples: int = 9) -> None:
    lines = []
    for i in range(samples):
        Image.new("RGB", (6, 6), (250, 0, 0) if i % 2 else (0, 0, 250)).save(root / f"{i}.png")
        lines.append(json.dumps({"id": i, "uri": f"{i}.png", "y": [i % 2] if multi else i % 2}))
    (root / "m.ndjson").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("multi", [False, True])
def test_form_c_trains_and_is_deterministic_by_worker_and_round(
    train: Train, context: TrainingContext, multi: bool
) -> None:
    """Rows 2 and 20: a model class and a shard are enough."""
    write_shard(context.data_root, multi)
    first = train("")
    module = sys.modules["model_def"]

    def again(**changes: Any) -> TrainingResult:
        fields = {name: getattr(context, name) for name in context.__slots__} | changes
        model = build_model(module, "Net", {}, 2)
        weights = {k: torch.full_like(v, 0.5) for k, v in model_weights(model).items()}
        weights["norm.num_batches_tracked"] = torch.tensor(7)
        return run_training(module, None, model, weights, TrainingContext(**fields))

    assert first.samples == 9
    assert set(first.metrics) == {"loss", "accuracy"} | ({"micro_f1"} if multi else set())
    # 9 samples in batches of 4: a last batch of one joins the one before it.
    assert int(first.weights["norm.num_batches_tracked"]) == 7 + 3 * 2
    same = again()
    assert all(torch.equal(same.weights[name], value) for name, value in first.weights.items())
    for other in (again(worker="worker-2"), again(round=3)):
        assert not torch.equal(other.weights["head.weight"], first.weights["head.weight"])
    learned = again(local_epochs=12, learning_rate=0.1)
    assert learned.metrics["accuracy"] == 1.0
    assert learned.metrics["loss"] < first.metrics["loss"]


@pytest.mark.parametrize(
    ("count", "size", "expected"),
    [(9, 4, [4, 5]), (8, 4, [4, 4]), (10, 4, [4, 4, 2]), (1, 4, [1]), (3, 1, [1, 1, 1])],
)
def test_batches_never_end_in_a_single_sample(count: int, size: int, expected: list[int]) -> None:
    parts = generated.batches(torch.arange(count), size)
    assert [len(part) for part in parts] == expected
    assert sorted(index for part in parts for index in part) == list(range(count))


def test_form_c_says_what_is_wrong_with_the_model_s_output(
    train: Train, context: TrainingContext
) -> None:
    write_shard(context.data_root)
    with pytest.raises(TrainFunctionInvalidError, match=r"^worker-1: .*output is \[5?4?, 12\]"):
        train("Net.forward = lambda self, x: self.pool(x).flatten(1)\n")
