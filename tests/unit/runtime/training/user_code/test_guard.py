"""What the author's code raises becomes a typed error with its line (CONTRACT row 30)."""

from __future__ import annotations

import pytest

from fedjob_runtime.training.context import TrainingContext
from fedjob_runtime.training.errors import (
    OutOfMemoryInTraining,
    UserCodeError,
    WeightsError,
)
from support.training_run import Train, calls, write_shard


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


def test_set_weights_in_the_function_tells_worker_tensor_and_line(train: Train) -> None:
    text = (
        "def fl_train_model(payload):\n    model = Net(num_classes=5)\n"
        '    model.set_weights(payload["initial_weights"])\n'
    )
    with pytest.raises(WeightsError) as caught:
        train(text)
    assert str(caught.value).startswith("worker-1: head.weight has shape [2, 12]")
    assert "model_def.py line 19" in str(caught.value)
