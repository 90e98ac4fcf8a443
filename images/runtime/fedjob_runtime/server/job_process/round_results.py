"""What one round has got so far, and the worker's own words made safe to keep."""

from __future__ import annotations

import time
from collections.abc import Callable

from nvflare.app_common.abstract.fl_model import FLModel
from torch import Tensor

from fedjob.protocol.commit import Participant
from fedjob_runtime.protocol import WARNINGS
from fedjob_runtime.server.job_process.aggregators import Mean
from fedjob_runtime.server.job_process.model_mean import ModelMean


class RoundAnswers:
    """What one round has got so far; the caller holds the mutex."""

    def __init__(
        self,
        reference: dict[str, Tensor],
        mean: Mean | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Starts the round's clock.

        Args:
            reference: The global model; results must have its names and shapes.
            mean: Where accepted results go; FedAvg by default.
            clock: Seconds.
        """
        self.reference = reference
        self.mean: Mean = mean or ModelMean(reference)
        self.accepted: dict[str, Participant] = {}
        self.failed: dict[str, dict[str, str]] = {}
        self.closed = False
        self._clock = clock
        self.sent = clock()
        self._times: list[float] = []

    def accept(self, name: str, samples: int, model: FLModel) -> None:
        """Takes a checked result in."""
        now = self._clock()
        self._times.append(now)
        self.failed.pop(name, None)
        self.accepted[name] = Participant(
            name=name,
            samples=samples,
            metrics=own_metrics(model.metrics),
            seconds=max(0.0, now - self.sent),
            warnings=[str(warning)[:1000] for warning in model.meta.get(WARNINGS) or []],
        )

    def fail(self, name: str, reason: str, message: str) -> None:
        """Notes why a worker's answer does not count."""
        self.failed[name] = {"reason": str(reason), "message": message}

    def waiting(self, members: list[str], lost: tuple[str, ...]) -> list[str]:
        """Members that may still answer."""
        done = {*self.accepted, *self.failed, *lost}
        return [name for name in members if name not in done]

    def seconds_since(self, count: int) -> float | None:
        """Seconds since the count-th result was accepted."""
        return self._clock() - self._times[count - 1] if len(self._times) >= count else None


def own_metrics(metrics: object) -> dict[str, float]:
    """A worker's metrics; `val_` is kept for the global model's, so theirs become `own_val_`."""
    if not isinstance(metrics, dict):
        return {}
    return {
        f"own_{name}" if str(name).startswith("val_") else str(name): float(value)
        for name, value in metrics.items()
    }
