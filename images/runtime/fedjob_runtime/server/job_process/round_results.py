"""One round: the task sent to its members, and what they answered."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from nvflare.apis.dxo import MetaKey
from nvflare.app_common.abstract.fl_model import FLModel
from torch import Tensor

from fedjob.protocol.commit import Participant
from fedjob.reasons import Reason
from fedjob_runtime.protocol import SAMPLES, WARNINGS
from fedjob_runtime.server.job_process.aggregators import Mean
from fedjob_runtime.server.job_process.fedavg import MAX_WEIGHT
from fedjob_runtime.server.job_process.model_mean import ModelMean
from fedjob_runtime.training.errors import InvalidSamplesError
from fedjob_runtime.training.returns import check_samples, clean_metrics

TaskKey = tuple[str, int]
"""A task's name and the number of its round, from 0."""
MAX_WARNINGS = 40
"""Warnings about one answer in the log of rounds."""
MAX_WARNING = 1000
"""Characters of a warning."""


class Round:
    """A task, the workers that it is sent to, and their answers; the caller holds the mutex.

    Attributes:
        task: What the answers must be to.
        members: The workers that it is sent to.
        reference: The global model; results must have its names and shapes. Without a model the
            first accepted result takes its place.
        mean: Where accepted results go.
        accepted: Accepted results by worker, in the order of their arrival.
        failed: {reason, message} by worker whose answer does not count.
        closed: Whether answers are no longer taken.
        sent: When the task was sent, in the clock's seconds.
    """

    def __init__(
        self,
        task: TaskKey,
        members: Sequence[str],
        reference: dict[str, Tensor],
        mean: Mean | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.task = task
        self.members = tuple(members)
        self.reference = reference
        self.mean: Mean = mean or ModelMean(reference)
        self.accepted: dict[str, Participant] = {}
        self.failed: dict[str, dict[str, str]] = {}
        self.closed = False
        self._clock = clock
        self.sent = clock()
        self._times: list[float] = []

    def expects(self, name: str) -> bool:
        """Whether an answer of this worker would still count."""
        return not self.closed and name in self.members and name not in self.accepted

    def accept(self, name: str, samples: int, model: FLModel) -> None:
        """Counts a result; an earlier failure of the worker in this round is forgotten."""
        now = self._clock()
        metrics, dropped = own_metrics(model.metrics)
        participant = Participant(
            name=name,
            samples=samples,
            metrics=metrics,
            seconds=max(0.0, now - self.sent),
            warnings=_warnings(model.meta.get(WARNINGS), dropped),
        )
        self._times.append(now)
        self.failed.pop(name, None)
        self.accepted[name] = participant

    def fail(self, name: str, reason: str, message: str) -> None:
        """Records why a worker's answer does not count."""
        self.failed[name] = {"reason": str(reason), "message": message}

    def waiting(self, lost: Sequence[str] = ()) -> list[str]:
        """Members that may still answer: neither accepted, nor failed, nor lost."""
        done = {*self.accepted, *self.failed, *lost}
        return [name for name in self.members if name not in done]

    def seconds(self) -> float:
        """Seconds since the task was sent."""
        return self._clock() - self.sent

    def seconds_since(self, count: int) -> float | None:
        """Seconds since the count-th result was accepted; None before it."""
        return self._clock() - self._times[count - 1] if len(self._times) >= count else None


def samples_of(model: FLModel, name: str, members: int) -> int:
    """The number of samples of an answer, its weight in the mean.

    Raises:
        InvalidSamplesError: It is not a whole number above 0, or more than the mean can hold.
    """
    # NVFlare's own executors give their samples under its name for them.
    given = model.meta.get(SAMPLES, model.meta.get(MetaKey.NUM_STEPS_CURRENT_ROUND))
    samples = check_samples(given, name)
    most = MAX_WEIGHT // max(1, members)
    if samples > most:
        raise InvalidSamplesError(
            f"samples is {samples}, with {members} workers it can be {most} at most",
            'return "samples": the number of samples trained on, such as len(dataset)',
            worker=name,
        )
    return samples


def own_metrics(metrics: object) -> tuple[dict[str, float], list[str]]:
    """A worker's metrics, and warnings about those that were dropped.

    An executor of the author's own sends whatever it likes; what is not a finite number could not
    be read back from the log of rounds. `val_` is kept for the global model's metrics, so a
    worker's become `own_val_`.
    """
    kept, dropped = clean_metrics(metrics)
    named = {f"own_{n}" if n.startswith("val_") else n: value for n, value in kept.items()}
    return named, [f"{Reason.METRIC_DROPPED.value}: {text}" for text in dropped]


def _warnings(given: object, dropped: list[str]) -> list[str]:
    own = given if isinstance(given, list | tuple) else []
    return [str(warning)[:MAX_WARNING] for warning in [*own, *dropped][:MAX_WARNINGS]]
