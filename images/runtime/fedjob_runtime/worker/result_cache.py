"""The worker's last answers on disk, so that a round asked again is not trained again.

A round is asked again when the server died before its commit was durable. The answer counts only
for the very same global model (its sha256), so a stale one can never be sent.
"""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from fedjob_runtime.atomic_json import read_json, write_json
from fedjob_runtime.training.weights import digest, load_weights, save_weights

logger = logging.getLogger("fedjob.worker")

KEPT_ROUNDS = 2
"""The server may lose the round under way and one that was not yet durable."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a worker returns for one round.

    Attributes:
        weights: By the names of the global model.
        samples: Their weight in the mean.
        metrics: Finite numbers.
        warnings: `<Reason>: <message>` each.
        partial: The weights may be a part of the model.
        sha256: `digest` of the weights as they were trained; empty in an answer that an older
            version kept.
    """

    weights: dict[str, Tensor]
    samples: int
    metrics: dict[str, float]
    warnings: list[str]
    partial: bool = False
    sha256: str = ""


class AnswerStore:
    """Answers by round and by the global model they started from."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "answers"

    def find(self, round_number: int, base: str) -> Answer | None:
        """The answer given before to this very task, if there is one."""
        folder = self._folder / str(round_number)
        facts = read_json(folder / "answer.json")
        if not base or facts is None or facts["base"] != base:
            return None
        weights = load_weights(folder / "weights.safetensors")
        sha256 = facts.get("sha256", "")
        if sha256 and digest(weights) != sha256:
            # The server would refuse it, and the worker send it again each time it is asked.
            logger.warning("round %d: the answer on disk is damaged; training again", round_number)
            return None
        return Answer(
            weights,
            facts["samples"],
            facts["metrics"],
            facts["warnings"],
            facts.get("partial", False),
            sha256,
        )

    def keep(self, round_number: int, base: str, answer: Answer) -> None:
        """Keeps an answer, and drops those of rounds that can no longer be asked."""
        if not base:
            return
        folder = self._folder / str(round_number)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        save_weights(folder / "weights.safetensors", answer.weights, durable=True)
        write_json(
            folder / "answer.json",
            {
                "base": base,
                "samples": answer.samples,
                "metrics": answer.metrics,
                "warnings": answer.warnings,
                "partial": answer.partial,
                "sha256": answer.sha256,
            },
        )
        for old in self._folder.iterdir():
            if int(old.name) <= round_number - KEPT_ROUNDS:
                shutil.rmtree(old, ignore_errors=True)
