"""What the training function returns (CONTRACT section 1)."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from fedjob_runtime.training.errors import (
    CheckpointInvalidError,
    EmptyWeightsError,
    InvalidResultError,
    InvalidSamplesError,
    MissingWeightsError,
    NonFiniteWeightsError,
    TrainingError,
    UnexpectedTensorError,
)
from fedjob_runtime.training.returns import (
    MAX_METRICS,
    Expected,
    check_samples,
    clean_metrics,
    collect,
)

GOOD = {"w": torch.ones(2)}
REFERENCE = Expected({"w": torch.zeros(2)})


@pytest.fixture
def out_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "runs" / "round_0"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize(
    "result",
    [
        {"weights": GOOD, "samples": 3},
        {"state_dict": OrderedDict(GOOD), "samples": 3},
        OrderedDict(weights=GOOD, samples=3),
        {"weights": None, "state_dict": GOOD, "samples": 3},
        {"weights": GOOD, "state_dict": {"other": torch.ones(1)}, "samples": 3},
    ],
)
def test_weights_or_their_alias(out_dir: Path, result: dict[str, Any]) -> None:
    collected = collect(result, out_dir, REFERENCE, "worker-0")
    assert torch.equal(collected.weights["w"], GOOD["w"])
    assert collected.samples == 3
    assert collected.metrics == {}
    assert collected.warnings == ()


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize(
    "how", ["absolute", "relative", "path", "data_root", "safetensors", "file"]
)
def test_weights_in_a_file(out_dir: Path, how: str, nested: bool) -> None:
    """final_checkpoint, else out_dir/state_dict.pt; either may nest them under model_state."""
    names: dict[str, tuple[Path, Any]] = {
        "absolute": (out_dir / "final.pt", str(out_dir / "final.pt")),
        "relative": (out_dir / "sub" / "final.pt", "sub/final.pt"),
        "path": (out_dir / "final.pth", out_dir / "final.pth"),
        "data_root": (out_dir.parent.parent / "final.pt", "final.pt"),
        "safetensors": (out_dir / "final.safetensors", "final.safetensors"),
        "file": (out_dir / "state_dict.pt", None),
    }
    path, given = names[how]
    path.parent.mkdir(exist_ok=True)
    if how == "safetensors":
        save_file(GOOD, path)
    else:
        torch.save({"model_state": GOOD, "epoch": 2} if nested else GOOD, path)
    result = {"samples": 1} | ({"final_checkpoint": given} if given else {})
    assert torch.equal(collect(result, out_dir, REFERENCE, "w").weights["w"], GOOD["w"])


def test_the_order_is_weights_then_final_checkpoint_then_the_file(out_dir: Path) -> None:
    torch.save({"w": torch.full((2,), 3.0)}, out_dir / "final.pt")
    torch.save({"w": torch.full((2,), 4.0)}, out_dir / "state_dict.pt")
    result: dict[str, Any] = {"weights": GOOD, "final_checkpoint": "final.pt", "samples": 1}
    found = [float(collect(result, out_dir, REFERENCE, "w").weights["w"][0])]
    for name in ("weights", "final_checkpoint"):
        del result[name]
        found.append(float(collect(result, out_dir, REFERENCE, "w").weights["w"][0]))
    assert found == [1, 3, 4]


@pytest.mark.parametrize(
    "given", ["../../../secret.pt", "/etc/hostname", "link.pt", "linked/secret.pt"]
)
def test_a_checkpoint_outside_the_two_folders_is_refused(
    out_dir: Path, tmp_path: Path, given: str
) -> None:
    torch.save(GOOD, tmp_path / "secret.pt")
    (out_dir / "link.pt").symlink_to(tmp_path / "secret.pt")
    (out_dir / "linked").symlink_to(tmp_path)
    with pytest.raises(CheckpointInvalidError, match=r"^worker-2: .*outside out_dir") as caught:
        collect({"final_checkpoint": given, "samples": 1}, out_dir, REFERENCE, "worker-2")
    assert given in str(caught.value)


def test_a_state_dict_pt_that_links_outside_is_refused(out_dir: Path, tmp_path: Path) -> None:
    torch.save(GOOD, tmp_path / "secret.pt")
    (out_dir / "state_dict.pt").symlink_to(tmp_path / "secret.pt")
    with pytest.raises(CheckpointInvalidError, match="outside"):
        collect({"samples": 1}, out_dir, REFERENCE, "w")


@pytest.mark.parametrize(
    ("given", "expected"),
    [("absent.pt", "not a file"), (3, "a int"), ("a\0b", "not a path"), (".", "not a file")],
)
def test_a_checkpoint_that_is_not_there(out_dir: Path, given: object, expected: str) -> None:
    with pytest.raises(CheckpointInvalidError, match=expected):
        collect({"final_checkpoint": given, "samples": 1}, out_dir, REFERENCE, "w")


def test_a_pickled_model_left_as_checkpoint_is_refused_with_the_fix(out_dir: Path) -> None:
    torch.save(torch.nn.Linear(1, 1), out_dir / "state_dict.pt")
    with pytest.raises(CheckpointInvalidError, match=r"^worker-0: .*model\.state_dict\(\)"):
        collect({"samples": 1}, out_dir, REFERENCE, "worker-0")


@pytest.mark.parametrize(
    ("result", "error", "expected"),
    [
        (None, InvalidResultError, "returned None, not a dict"),
        ((GOOD, 3), InvalidResultError, "a tuple"),
        ([], InvalidResultError, "a list"),
        ({}, MissingWeightsError, "it has nothing"),
        ({"samples": 3, "loss": 1}, MissingWeightsError, "'samples', 'loss'"),
        ({"weights": {}, "samples": 3}, EmptyWeightsError, "empty"),
        ({"weights": [1], "samples": 3}, UnexpectedTensorError, "a list"),
        ({"weights": torch.nn.Linear(1, 1).state_dict, "samples": 1}, TrainingError, "call it"),
        (
            {"weights": {"w": torch.tensor([1, math.nan])}, "samples": 3},
            NonFiniteWeightsError,
            "w has",
        ),
        ({"weights": GOOD}, InvalidSamplesError, "samples is missing"),
        ({"weights": GOOD, "samples": 0}, InvalidSamplesError, "samples is 0"),
    ],
)
def test_every_refusal_names_the_worker_and_says_what_to_return(
    out_dir: Path, result: object, error: type[TrainingError], expected: str
) -> None:
    with pytest.raises(error) as caught:
        collect(result, out_dir, REFERENCE, "worker-7")
    assert str(caught.value).startswith("worker-7: ")
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (1, 1),
        (3.0, 3),
        (np.int64(5), 5),
        (np.float64(6.0), 6),
        (torch.tensor(7), 7),
        (torch.tensor([8.0]), 8),
        (2**53, 2**53),
    ],
)
def test_samples_that_count(given: object, expected: int) -> None:
    samples = check_samples(given, "w")
    assert (type(samples), samples) == (int, expected)


@pytest.mark.parametrize(
    "given",
    [
        *(0, -1, None, True, False, 2.5, 0.0, math.nan, math.inf, "3", [3], 2**53 + 1, 3 + 0j),
        *(torch.tensor([1, 2]), torch.tensor(0), torch.tensor(True), np.float32(2.5)),
    ],
)
def test_samples_that_do_not_count(given: object) -> None:
    with pytest.raises(InvalidSamplesError, match=r"^worker-4: samples is .*len\(dataset\)"):
        check_samples(given, "worker-4")


def test_metrics_keep_finite_numbers_and_warn_of_the_rest() -> None:
    kept, warnings = clean_metrics(
        {
            "loss": 0.5,
            "count": 3,
            "np": np.float32(0.25),
            "tensor": torch.tensor([0.75], requires_grad=True),
            "nan": math.nan,
            "inf": torch.tensor(math.inf),
            "text": "good",
            "flag": True,
            "vector": torch.zeros(2),
            "huge": 10**400,
            5: 1.0,
            "n" * 101: 1.0,
        }
    )
    assert kept == {"loss": 0.5, "count": 3.0, "np": 0.25, "tensor": 0.75}
    assert all(type(value) is float for value in kept.values())
    assert len(warnings) == 8
    assert all(len(text) < 250 for text in warnings)


@pytest.mark.parametrize("given", [[1], "loss", 3])
def test_metrics_of_another_type_are_dropped_with_a_warning(out_dir: Path, given: object) -> None:
    result = collect({"weights": GOOD, "samples": 1, "metrics": given}, out_dir, REFERENCE, "w")
    assert result.metrics == {}
    assert result.warnings[0].reason == "MetricDropped"
    assert "not a dict" in result.warnings[0].message


def test_metrics_are_bounded() -> None:
    kept, warnings = clean_metrics({f"m{i}": i for i in range(1000)})
    assert len(kept) == 64
    assert len(warnings) == 1


def test_what_is_collected_shares_no_memory_with_a_tied_twin(out_dir: Path) -> None:
    tied = torch.ones(2)
    reference = Expected({"a": torch.zeros(2), "b": torch.zeros(2)})
    make: Callable[[], Any] = lambda: {"weights": {"a": tied, "b": tied}, "samples": 1}  # noqa: E731
    weights = collect(make(), out_dir, reference, "w").weights
    assert weights["a"].data_ptr() != weights["b"].data_ptr()


@pytest.mark.parametrize("value", ["nested", 10**5000], ids=["nested", "digits"])
def test_metric_that_cannot_be_shown_is_dropped_by_its_type(value: object) -> None:
    """Found by `make bombs`: its text ended the server's job process."""
    if value == "nested":
        for _ in range(100_000):
            value = [value]
    kept, warnings = clean_metrics({"a": value, "b": 1.0})
    assert kept == {"b": 1.0}
    assert len(warnings) == 1
    assert "metric a is not a finite number" in warnings[0]


def test_warnings_about_dropped_metrics_are_bounded() -> None:
    _, warnings = clean_metrics({f"m{n}": "x" for n in range(10_000)})
    assert len(warnings) == MAX_METRICS + 1
