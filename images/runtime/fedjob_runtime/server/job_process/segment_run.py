"""The rounds of one segment, from the last committed model to the last round.

Independent of NVFlare's controller, which sends the tasks and hands the answers in on threads of
its own. A finished round is handed to the supervisor, which commits it; at most one round is under
way while the one before it becomes durable.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from torch import Tensor

from fedjob.errors import FedjobError
from fedjob.formats import rfc3339
from fedjob.protocol.commit import ClientFailure, RoundTimes
from fedjob.reasons import Reason
from fedjob_runtime.protocol import BASE, check_reply, version_meta
from fedjob_runtime.server.clock import Clock, SystemClock
from fedjob_runtime.server.ipc import Control, Handover, SegmentReport
from fedjob_runtime.server.job_process.aggregators import Mean, aggregate, full_weights
from fedjob_runtime.server.job_process.failures import failure_of
from fedjob_runtime.server.job_process.fedavg import weighted_metrics
from fedjob_runtime.server.job_process.round_policy import RoundTerms, Verdict, judge
from fedjob_runtime.server.job_process.round_results import Round, TaskKey, samples_of
from fedjob_runtime.server.job_process.torch_export import save_torch
from fedjob_runtime.training.tensors.tensor_types import require_averageable
from fedjob_runtime.training.weights import file_sha256, load_weights, save_weights

logger = logging.getLogger("fedjob.server")

POLL_SECONDS = 0.05
Weights = dict[str, Tensor]


class SupersededError(Exception):
    """A newer segment has taken over; this one ends without a report."""


class TaskSender(Protocol):
    """What NVFlare does for a segment."""

    @property
    def aborted(self) -> bool:
        """Whether NVFlare is ending the job."""

    def send(
        self, task: str, model: FLModel, members: list[str], take: Callable[[FLModel], bool]
    ) -> None:
        """Offers a task to the members; `take` is called with each answer, on another thread."""

    def cancel(self) -> None:
        """Withdraws every task."""


class Evaluation(Protocol):
    """Where the global model's metrics come from."""

    @property
    def on_server(self) -> bool:
        """Whether `run` gives them."""

    @property
    def on_workers(self) -> bool:
        """Whether the workers' fl_validate gives them."""

    def run(self, weights: Weights, round_number: int) -> dict[str, float]:
        """Metrics of the weights."""


@dataclass(frozen=True, slots=True)
class SegmentSettings:
    """A segment as the supervisor configured it.

    Attributes:
        segment: Its number.
        start_round: The committed round it starts from; -1 where there is none yet.
        num_rounds: Rounds of the whole job.
        members: The workers that take part.
        terms: When a round is over.
        partial: Whether an answer may hold a part of the model.
    """

    segment: int
    start_round: int
    num_rounds: int
    members: tuple[str, ...]
    terms: RoundTerms
    partial: bool = False


class SegmentRun:
    """Runs the rounds and takes the workers' answers.

    Args:
        settings: The segment.
        handover: The files shared with the supervisor.
        tasks: Sends tasks.
        new_mean: Makes the accumulator of a round: (global model, CURRENT_ROUND, what the strategy
            kept) to Mean.
        keep: Gives the author's persistor the new global model.
        custom: The job folder's app/custom, where the author's files are.
        clock: Time; its `sleep` is called between two looks at a round.
    """

    def __init__(
        self,
        settings: SegmentSettings,
        handover: Handover,
        tasks: TaskSender,
        *,
        new_mean: Callable[[Weights, int, Weights], Mean],
        keep: Callable[[Weights], None],
        custom: Path,
        clock: Clock | None = None,
    ) -> None:
        self._settings = settings
        self._handover = handover
        self._tasks = tasks
        self._new_mean = new_mean
        self._keep = keep
        self._custom = custom
        self._clock: Clock = clock or SystemClock()
        self._report = SegmentReport(settings.segment)
        self._mutex = threading.Lock()
        self._round = Round(("", -1), (), {}, clock=self._clock.monotonic)
        self._round.closed = True
        self._given: dict[str, TaskKey] = {}
        self._strategy: Weights = {}
        self._broken: Exception | None = None

    def start(self, initial: Callable[[], Weights]) -> Weights:
        """The model that the segment starts from; before round 0 it is made and offered.

        Args:
            initial: Gives the initial weights.
        """
        start = self._settings.start_round
        self._tell("started", max(start, 0))
        if start >= 0:
            kept = self._handover.start_strategy(start)
            self._strategy = load_weights(kept) if kept.is_file() else {}
            return load_weights(self._handover.start_model(start), may_be_empty=True)
        began = self._clock.time()
        weights = initial()
        target = self._handover.model_file(0)
        target.parent.mkdir(parents=True, exist_ok=True)
        save_weights(target, weights)
        first = Round(("", -1), (), weights, clock=self._clock.monotonic)
        self._offer(0, file_sha256(target), first, metrics={}, times=RoundTimes(), began=began)
        return weights

    def run(self, weights: Weights, evaluation: Evaluation) -> None:
        """Runs round after round until the last, or until the segment has to end before it.

        Args:
            weights: The model to start from.
            evaluation: Where the global model's metrics come from.

        Raises:
            SupersededError: Another segment has taken over.
        """
        start = max(self._settings.start_round, 0)
        last = self._settings.num_rounds
        committed = self._settings.start_round >= 0
        own = self._handover
        base = file_sha256(own.start_model(start) if committed else own.model_file(start))
        for number in range(start + 1, last + 1):
            began, sent = self._clock.time(), self._clock.monotonic()
            training, verdict = self._train(number, weights, base)
            if verdict is Verdict.SHORT:
                self._end("short")
                return
            answered = self._clock.monotonic()
            weights = aggregate(training.mean, training.reference, number - 1)
            self._strategy = training.mean.state()
            averaged = self._clock.monotonic()
            metrics = self._metrics(training, weights, evaluation)
            evaluated = self._clock.monotonic()
            self._wait_for_commit(number - 1)
            self._handover.drop_before(number)
            target = self._handover.model_file(number)
            target.parent.mkdir(parents=True, exist_ok=True)
            save_weights(target, weights)
            base = file_sha256(target)
            if self._strategy:
                save_weights(self._handover.strategy_file(number), self._strategy)
            if number == last:
                # torch is loaded here: a process of its own for it would cost seconds at the end.
                save_torch(self._handover.torch_file(number), weights)
            times = RoundTimes(
                train=answered - sent,
                aggregate=averaged - answered,
                evaluate=evaluated - averaged,
            )
            self._keep(weights)
            self._offer(number, base, training, metrics=metrics, times=times, began=began)
            if number == last:
                self._end("complete")
                return
            hung = any(f["reason"] == Reason.TRAINING_TIMEOUT for f in training.failed.values())
            if hung or self._control().stop_after_round:
                self._end("hung" if hung else "stop")
                return

    def fail(self, error: Exception) -> None:
        """Ends the segment with an error of the server, unless another has taken over."""
        control = self._handover.read_control()
        if control is None or control.segment != self._settings.segment:
            return
        number = self._report.round
        doing = f"in round {number}" if number else "before its first round"
        failure = failure_of(error, self._custom, doing)
        self._report.error = {"reason": failure.reason, "message": failure.message}
        self._end("broken" if failure.may_pass else "error")

    # The workers' answers, on NVFlare's threads.

    def gave(self, name: str, task: TaskKey) -> None:
        """Records the task that a worker was given last."""
        self._given[name] = task

    def given(self, name: str) -> TaskKey | None:
        """The task that a worker was given last."""
        return self._given.get(name)

    def take_result(self, model: FLModel) -> bool:
        """Counts an answer to `train`; False where it does not count."""
        name = str(model.meta["client_name"])
        with self._mutex:
            current = self._round
            if current.task != ("train", model.current_round) or not current.expects(name):
                return False
            try:
                check_reply(model.meta, name)
                samples = samples_of(model, name, len(current.members))
                weights = full_weights(
                    model, current.reference, name, partial=self._settings.partial
                )
                if not current.reference:
                    # The job has no model yet: this answer is what the others must fit.
                    require_averageable(weights, name)
                # Before the mean: an answer that cannot be recorded must not be averaged either.
                current.accept(name, samples, model)
            except Exception as error:  # noqa: BLE001 (a worker's answer may hold anything)
                current.fail(name, *_fault_of_answer(name, error))
                return False
            try:
                current.mean.add(weights, samples, name)
            except Exception as error:  # noqa: BLE001 (raised by `_watch`, in the main thread)
                # The weights were checked: no worker is to blame, and the round cannot be had.
                self._broken = error
                return False
            current.reference = current.reference or weights
        return True

    def take_metrics(self, model: FLModel) -> bool:
        """Counts an answer to `validate`; False where it does not count."""
        name = str(model.meta["client_name"])
        with self._mutex:
            current = self._round
            if current.task[0] != "validate" or not current.expects(name):
                return False
            try:
                check_reply(model.meta, name)
                current.accept(name, samples_of(model, name, len(current.members)), model)
            except Exception as error:  # noqa: BLE001 (a worker's answer may hold anything)
                current.fail(name, *_fault_of_answer(name, error))
                return False
        return True

    def note_answer(self, name: str, task: TaskKey, failure: tuple[str, str]) -> None:
        """Counts an answer that was not taken as its worker's failure.

        Args:
            name: The worker.
            task: What it answered.
            failure: (reason, message), as the worker gave it or NVFlare's return code tells.
        """
        with self._mutex:
            current = self._round
            if task != current.task or not current.expects(name) or name in current.failed:
                return
            current.fail(name, *failure)

    def refuse(self, name: str, task: TaskKey | None, reason: str, message: str) -> None:
        """Counts an answer that was not even decoded, if it is one to the task under way."""
        with self._mutex:
            current = self._round
            known = current.failed.get(name, {}).get("message") == message
            if known or not current.expects(name):
                return
            late = task != current.task
            if not late:
                current.fail(name, reason, message)
        if late:
            # Its round, which has its failure, is over; this one still waits for its answer.
            logger.warning("refused, and too late to count (%s): %s", reason, message)
            return
        # NVFlare gives the worker the task again, since it has no answer: it may yet do better.
        logger.error("refused (%s): %s", reason, message)

    # One round.

    def _train(self, number: int, weights: Weights, base: str) -> tuple[Round, Verdict]:
        """Sends the round's tasks and gathers results until the policy says that it is over."""
        mean = self._new_mean(weights, number - 1, self._strategy)
        members = self._settings.members
        current = self._open(("train", number - 1), members, weights, mean)
        self._tell("training", number)
        task = self._model(number, weights, {BASE: base})
        self._tasks.send("train", task, list(members), self.take_result)
        terms = self._settings.terms
        verdict = self._watch(current, terms)
        with self._mutex:
            current.closed = True
            if terms.timeout is not None and current.seconds() > terms.timeout:
                for name in current.waiting(self._control().lost):
                    current.fail(
                        name,
                        Reason.TRAINING_TIMEOUT,
                        f"{name} did not answer round {number} within roundTimeout "
                        f"({terms.timeout:g} s); raise federation.roundTimeout or train less",
                    )
        self._tasks.cancel()
        self._tell("training", number)
        return current, verdict

    def _metrics(
        self, training: Round, weights: Weights, evaluation: Evaluation
    ) -> dict[str, float]:
        parts = [(p.samples, p.metrics) for p in training.accepted.values()]
        metrics = weighted_metrics(parts)
        if evaluation.on_server:
            return metrics | evaluation.run(weights, training.task[1])
        if evaluation.on_workers:
            return metrics | self._validate(training, weights)
        return metrics

    def _validate(self, training: Round, weights: Weights) -> dict[str, float]:
        """The workers' fl_validate on the new global model; nobody is waited for twice."""
        members = sorted(training.accepted)
        number = training.task[1]
        current = self._open(("validate", number), members, weights)
        self._report.phase = "validating"
        try:
            task = self._model(number + 1, weights, {})
            self._tasks.send("validate", task, members, self.take_metrics)
            own = self._settings.terms
            self._watch(current, RoundTerms(1, own.wait_after_min, own.timeout))
            with self._mutex:
                current.closed = True
            self._tasks.cancel()
        finally:
            with self._mutex:
                self._round = training
        # What a worker's validation got wrong belongs to this round's record too.
        training.failed |= current.failed
        parts = [(p.samples, p.metrics) for p in current.accepted.values()]
        return {f"val_{name}": value for name, value in weighted_metrics(parts).items()}

    def _model(self, number: int, weights: Weights, meta: dict[str, object]) -> FLModel:
        return FLModel(
            params_type=ParamsType.FULL,
            params=weights,
            current_round=number - 1,
            total_rounds=self._settings.num_rounds,
            meta={**version_meta(), **meta},
        )

    def _open(
        self, task: TaskKey, members: Sequence[str], weights: Weights, mean: Mean | None = None
    ) -> Round:
        """From now on answers to this task count, and to no other."""
        current = Round(task, members, weights, mean, self._clock.monotonic)
        with self._mutex:
            self._round = current
        return current

    def _watch(self, current: Round, terms: RoundTerms) -> Verdict:
        reported = -1
        while True:
            if self._tasks.aborted:
                raise SupersededError
            control = self._control()
            with self._mutex:
                done = len(current.accepted) + len(current.failed)
                verdict = judge(
                    terms,
                    answered=len(current.accepted),
                    waiting=len(current.waiting(control.lost)),
                    elapsed=current.seconds(),
                    since_min=current.seconds_since(terms.min_clients),
                )
            if self._broken is not None:
                raise self._broken
            if done != reported:
                reported = done
                self._tell(self._report.phase, self._report.round)
            if verdict is not Verdict.WAIT:
                return verdict
            self._clock.sleep(POLL_SECONDS)

    # The supervisor.

    def _control(self) -> Control:
        control = self._handover.read_control()
        if control is None or control.segment != self._settings.segment:
            raise SupersededError
        return control

    def _wait_for_commit(self, number: int) -> None:
        while self._control().committed < number:
            if self._tasks.aborted:
                raise SupersededError
            self._clock.sleep(POLL_SECONDS)

    def _offer(
        self,
        number: int,
        sha256: str,
        training: Round,
        *,
        metrics: dict[str, float],
        times: RoundTimes,
        began: float,
    ) -> None:
        self._control()
        kept = self._handover.strategy_file(number)
        failures = [ClientFailure(name=name, **fault) for name, fault in training.failed.items()]
        self._handover.offer_round(
            number,
            {
                "sha256": sha256,
                "strategy_sha256": file_sha256(kept) if kept.is_file() else None,
                "participants": [p.model_dump() for p in training.accepted.values()],
                "failures": [failure.model_dump() for failure in failures],
                "metrics": metrics,
                "times": times.model_dump(),
                "started": rfc3339(began, "milliseconds"),
                "ended": rfc3339(self._clock.time(), "milliseconds"),
            },
        )

    def _tell(self, phase: str, number: int) -> None:
        with self._mutex:
            self._report.phase, self._report.round = phase, number
            self._report.answered = {n: p.samples for n, p in self._round.accepted.items()}
            self._report.failed = dict(self._round.failed)
        self._handover.report(self._report)

    def _end(self, outcome: str) -> None:
        self._report.outcome = outcome
        self._tell("ended", self._report.round)


def _fault_of_answer(name: str, error: Exception) -> tuple[str, str]:
    """(reason, message) of an answer that could not be taken."""
    if isinstance(error, FedjobError):
        return error.reason, str(error)
    text = f"{name}: its answer cannot be read: {type(error).__name__}: {error}"[:500]
    return Reason.INVALID_RESULT, f"{text}; answer with tensors, arrays, numbers and text only"
