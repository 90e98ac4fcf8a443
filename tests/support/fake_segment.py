"""A segment with a fake NVFlare, a fake supervisor and a fake clock around the real SegmentRun."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from torch import Tensor

from fedjob_runtime.protocol import SAMPLES
from fedjob_runtime.server.ipc import Control, SegmentReport
from fedjob_runtime.server.job_process.aggregators import Mean
from fedjob_runtime.server.job_process.model_mean import ModelMean
from fedjob_runtime.server.job_process.round_policy import RoundTerms
from fedjob_runtime.server.job_process.segment_run import (
    SegmentRun,
    SegmentSettings,
)
from fedjob_runtime.training.weights import load_weights
from support.handover import handover_in

SEGMENT = 7
THREE = ("worker-0", "worker-1", "worker-2")
Act = Callable[["FakeSegment"], None]


class NoEvaluation:
    on_server = False
    on_workers = False

    def run(self, weights: dict[str, Tensor], round_number: int) -> dict[str, float]:
        raise AssertionError("not asked for")


class OnServer(NoEvaluation):
    on_server = True

    def run(self, weights: dict[str, Tensor], round_number: int) -> dict[str, float]:
        return {"val_loss": float(weights["w"][0]), "val_round": float(round_number)}


class OnWorkers(NoEvaluation):
    on_workers = True


class FakeSegment:
    """NVFlare, the supervisor and the clock of one segment.

    `at` holds what happens when: seconds on the clock to actions, which run on the next wait.
    The supervisor commits every offered round at the next wait, unless `commits` is off.
    """

    def __init__(
        self,
        folder: Path,
        *,
        rounds: int = 1,
        start: int = -1,
        members: tuple[str, ...] = THREE,
        terms: RoundTerms | None = None,
        new_mean: Callable[[dict[str, Tensor], int, dict[str, Tensor]], Mean] | None = None,
    ) -> None:
        self.now = 0.0
        self.aborted = False
        self.commits = True
        self.at: list[tuple[float, Act]] = []
        self.sent: list[tuple[str, int, list[str], dict[str, Any]]] = []
        self.cancelled = 0
        self.kept: list[float] = []
        self.take: Callable[[FLModel], bool] = lambda _: False
        self.handover = handover_in(folder, THREE, rounds)
        self.handover.write_control(Control(SEGMENT, committed=start))
        settings = SegmentSettings(
            SEGMENT, start, rounds, members, terms or RoundTerms(2, 10, None)
        )
        self.run = SegmentRun(
            settings,
            self.handover,
            self,
            new_mean=new_mean or (lambda weights, *_: ModelMean(weights)),
            keep=lambda weights: self.kept.append(float(weights["w"][0])),
            custom=folder / "custom",
            clock=self,
        )

    # The clock.

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 1_800_000_000 + self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        assert self.now < 10_000, "the segment waits for ever"
        control = self.handover.read_control()
        if self.commits and control is not None:
            offered = self.handover.offered_round(control.committed + 1)
            if offered is not None:
                self.control(committed=control.committed + 1)
        due = [act for when, act in self.at if when <= self.now]
        self.at = [(when, act) for when, act in self.at if when > self.now]
        for act in due:
            act(self)

    # NVFlare.

    def send(
        self, task: str, model: FLModel, members: list[str], take: Callable[[FLModel], bool]
    ) -> None:
        number = int(model.current_round)
        self.sent.append((task, number, members, dict(model.meta)))
        self.take = take
        for name in members:
            self.run.gave(name, (task, number))

    def cancel(self) -> None:
        self.cancelled += 1

    # The supervisor.

    def control(self, **changes: Any) -> None:
        known = self.handover.read_control()
        assert known is not None
        values = {name: getattr(known, name) for name in known.__slots__}
        self.handover.write_control(Control(**{**values, **changes}))

    # What a test says and sees.

    def begin(self, value: float = 1.0) -> dict[str, Tensor]:
        return self.run.start(lambda: {"w": torch.full((2,), value)})

    def finish(self, evaluation: Any = None) -> None:
        self.run.run(self.begin(), evaluation or NoEvaluation())

    def answers(
        self,
        name: str,
        value: float,
        samples: object = 1,
        *,
        number: int | None = None,
        metrics: object = None,
        meta: dict[str, Any] | None = None,
        params: dict[str, Any] | None = None,
    ) -> bool:
        _, current, _, _ = self.sent[-1]
        model = FLModel(
            params_type=ParamsType.FULL,
            params={"w": torch.full((2,), value)} if params is None else params,
            current_round=current if number is None else number,
            meta={"client_name": name, SAMPLES: samples, **(meta or {})},
        )
        model.metrics = metrics
        return self.take(model)

    @property
    def report(self) -> SegmentReport:
        found = self.handover.read_report(SEGMENT)
        assert found is not None
        return found

    def offered(self, number: int) -> dict[str, Any]:
        found = self.handover.offered_round(number)
        assert found is not None
        return found.model_dump()

    def model(self, number: int) -> list[float]:
        return load_weights(self.handover.model_file(number))["w"].tolist()


def answering(name: str, value: float, samples: object = 1, **more: Any) -> Act:
    def act(fake: FakeSegment) -> None:
        fake.answers(name, value, samples, **more)

    return act


def all_answer(fake: FakeSegment, values: dict[str, float], when: float = 0) -> None:
    fake.at += [(when, answering(name, value)) for name, value in values.items()]


def finished_with(fake: FakeSegment, *acts: tuple[float, Act]) -> None:
    """A round in which worker-0 and worker-1 answer well at the end."""
    fake.at = list(acts)
    fake.at += [(5, answering("worker-0", 2.0)), (5, answering("worker-1", 4.0))]
    fake.finish()
