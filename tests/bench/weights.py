"""What checks, mean and checksum of a round's weights cost: `python tests/bench/weights.py`.

Each line is one figure beside what it replaced, both in this process and in turns, as seconds of
CPU of one thread: so another process on the machine disturbs both alike.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "images/runtime"))

import torch

from fedjob_runtime.server.job_process.fedavg import WeightedMean
from fedjob_runtime.training.tensors.finite import not_finite
from fedjob_runtime.training.weights import digest
from fedjob_runtime.training.weights_check import check_weights

TURNS = 7


def main() -> None:
    """Prints the table."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    large = {f"large{number}": torch.randn(6_250_000) for number in range(4)}
    small = {f"small{number}": torch.randn(300) for number in range(4008)}
    print("| CPU ms, best of 7 turns | before | after | ratio |\n|---|---|---|---|")
    for name, weights in (("100 MB in 4 tensors", large), ("4,008 tensors of 300", small)):
        compare(
            f"values of {name}",
            lambda weights=weights: [bool(torch.isfinite(t).all()) for t in weights.values()],
            lambda weights=weights: not_finite(weights),
        )
    other = {name: value + 1 for name, value in small.items()}
    compare(
        "second answer into the mean, 4,008 tensors",
        *(lambda fold=fold: fold(small, other) for fold in (folded_alone, folded_together)),
    )
    compare(
        "check of an answer of 100 MB, without and with its SHA-256",
        lambda: check_weights(large, large, "worker-0"),
        lambda: (digest(large), check_weights(large, large, "worker-0")),
    )


def folded_alone(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    """A mean for each tensor."""
    for name, value in first.items():
        mean = WeightedMean({name: value})
        mean.add({name: value}, 1)
        mean.add({name: second[name]}, 1)


def folded_together(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    """One mean for all."""
    mean = WeightedMean(first)
    mean.add(first, 1)
    mean.add(second, 1)


def compare(name: str, before: Callable[[], object], after: Callable[[], object]) -> None:
    """One line of the table."""
    best = [float("inf"), float("inf")]
    for _ in range(TURNS):
        for place, call in enumerate((before, after)):
            began = time.process_time()
            call()
            best[place] = min(best[place], time.process_time() - began)
    old, new = (1000 * seconds for seconds in best)
    print(f"| {name} | {old:.1f} | {new:.1f} | {new / old:.2f} |", flush=True)


if __name__ == "__main__":
    main()
