"""The workflow of one segment: rounds of FedAvg from the last committed model to the last round.

Runs in NVFlare's server job process, the only process of the server that imports torch and the
user's code. It holds no credentials: a finished round is handed to the supervisor, which commits
it; at most one round is under way while the one before it becomes durable.
"""

from __future__ import annotations

import fedjob_runtime.processes.torch_import  # noqa: F401 (first: see there)  # isort: skip

import logging
import threading
import time
from datetime import UTC, datetime

from nvflare.apis.controller_spec import ClientTask
from nvflare.apis.dxo import MetaKey
from nvflare.apis.fl_context import FLContext
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from nvflare.app_common.app_constant import AppConstants
from nvflare.app_common.workflows.model_controller import ModelController
from nvflare.app_opt.pt.decomposers import TensorDecomposer
from nvflare.fuel.utils import fobs
from torch import Tensor

from fedjob.errors import FedjobError
from fedjob.protocol.commit import ClientFailure, RoundTimes
from fedjob.reasons import Reason
from fedjob_runtime.processes.children import exit_when_orphaned
from fedjob_runtime.protocol import (
    BASE,
    ENV_STATE,
    FAILURE,
    SAMPLES,
    SEGMENT,
    env_path,
    read_failure,
)
from fedjob_runtime.server.ipc import Control, Handover, SegmentReport
from fedjob_runtime.server.job_process.aggregators import full_weights, mean_for
from fedjob_runtime.server.job_process.evaluation import GlobalEvaluation
from fedjob_runtime.server.job_process.fedavg import weighted_metrics
from fedjob_runtime.server.job_process.persistor import ModelPersistor as OwnPersistor
from fedjob_runtime.server.job_process.result_receiver import Inbox, TaskKey, answer_limit
from fedjob_runtime.server.job_process.round_policy import RoundTerms, Verdict, judge
from fedjob_runtime.server.job_process.round_results import RoundAnswers
from fedjob_runtime.server.job_process.torch_export import save_torch
from fedjob_runtime.training.answers.adapt import as_tensor
from fedjob_runtime.training.extra_state import decoded
from fedjob_runtime.training.returns import check_samples
from fedjob_runtime.training.weights import file_sha256, load_weights, portable, save_weights

logger = logging.getLogger("fedjob.server")

POLL_SECONDS = 0.05


class SupersededError(Exception):
    """A newer segment has taken over; this one ends without a word."""


class PersistorError(FedjobError):
    """The user's persistor gives no initial model."""

    reason = Reason.MODEL_INVALID


class SegmentController(ModelController):
    """FedAvg as one segment of a federation that outlives its processes.

    Args:
        num_rounds: Rounds of the whole job.
        min_clients: Results that a round needs.
        wait_time_after_min_received: Seconds to wait for further results after min_clients.
        round_timeout: Seconds after which a round goes on without those that have not answered;
            None waits for as long as they are connected.
        persistor_id: The component that gives the initial model.
        segment: This segment's number, set by the supervisor.
        start_round: The committed round it starts from; -1 where there is none yet.
        clients: The workers that take part.
        partial: An answer may hold a part of the model (spec.federation.partial).
    """

    def __init__(
        self,
        num_rounds: int,
        min_clients: int,
        wait_time_after_min_received: float = 10,
        round_timeout: float | None = None,
        persistor_id: str = "persistor",
        segment: int = 0,
        start_round: int = -1,
        clients: list[str] | None = None,
        partial: bool = False,
    ) -> None:
        super().__init__(
            persistor_id=persistor_id,
            ignore_result_error=True,
            task_check_period=POLL_SECONDS,
            allow_empty_global_weights=True,
        )
        self._partial = partial
        self._num_rounds = num_rounds
        self._terms = RoundTerms(min_clients, wait_time_after_min_received, round_timeout)
        self._start = start_round
        self._members = list(clients or [])
        self._report = SegmentReport(segment)
        self._mutex = threading.Lock()
        self._answers = RoundAnswers({})
        self._task: TaskKey = ("", -1)
        self._given: dict[str, TaskKey] = {}
        self._aggregator: object = None
        self._broken: FedjobError | None = None

    def run(self) -> None:
        """Runs the segment; NVFlare calls it."""
        exit_when_orphaned()
        fobs.register(TensorDecomposer)
        self._handover = Handover(env_path(ENV_STATE))
        try:
            self._run()
        except SupersededError:
            self.cancel_all_tasks()
        except FedjobError as error:
            self.cancel_all_tasks()
            self._report.error = {"reason": error.reason, "message": str(error)}
            self._end("error")

    def _run(self) -> None:
        self._tell("started", max(self._start, 0))
        self._aggregator = self.engine.get_component("aggregator")
        weights = self._first_weights()
        server = self.engine.server
        deliver, limit = server.command_agent.execute_command, answer_limit(weights)
        Inbox(self.engine.get_cell(), deliver, limit, self._given.get, self._refuse).open()
        evaluation = GlobalEvaluation.prepare()
        base = file_sha256(self._handover.model_file(max(self._start, 0)))
        for number in range(max(self._start, 0) + 1, self._num_rounds + 1):
            started = time.time()
            outcome = self._train(number, weights, base)
            if outcome is Verdict.SHORT:
                self._end("short")
                return
            aggregating = time.time()
            answers = self._answers
            weights = answers.mean.result()
            evaluating = time.time()
            metrics = weighted_metrics([(p.samples, p.metrics) for p in answers.accepted.values()])
            if evaluation.on_server:
                metrics |= evaluation.run(weights, number - 1)
            elif evaluation.on_workers:
                metrics |= self._validate(number, weights)
            evaluated = time.time()
            self._wait_for_commit(number - 1)
            target = self._handover.model_file(number)
            target.parent.mkdir(parents=True, exist_ok=True)
            save_weights(target, weights)
            base = file_sha256(target)
            if number == self._num_rounds:
                # torch is loaded here: a process of its own for it would cost seconds at the end.
                save_torch(self._handover.torch_file(number), weights)
            times = RoundTimes(
                train=aggregating - started,
                aggregate=evaluating - aggregating,
                evaluate=evaluated - evaluating,
            )
            self._save(weights)
            self._offer(number, base, answers, metrics, times, started)
            hung = any(f["reason"] == Reason.TRAINING_TIMEOUT for f in answers.failed.values())
            if number == self._num_rounds:
                self._end("complete")
                return
            if hung or self._control().stop_after_round:
                self._end("hung" if hung else "stop")
                return

    def _first_weights(self) -> dict[str, Tensor]:
        if self._start >= 0:
            return load_weights(self._handover.model_file(self._start), may_be_empty=True)
        started = time.time()
        weights = self._initial_weights()
        target = self._handover.model_file(0)
        target.parent.mkdir(parents=True, exist_ok=True)
        save_weights(target, weights)
        self._offer(0, file_sha256(target), RoundAnswers(weights), {}, RoundTimes(), started)
        return weights

    def _initial_weights(self) -> dict[str, Tensor]:
        try:
            model = self.load_model()
        except FedjobError:
            raise
        except Exception as error:
            # The user's persistor: whatever it raises is theirs to read.
            name = type(self.persistor).__name__
            raise PersistorError(
                f"{name}.load_model failed: {type(error).__name__}: {error}; correct it, or leave "
                "spec.components.persistor out"
            ) from error
        if model is None or (not model.params and getattr(self.persistor, "has_model", True)):
            name = type(self.persistor).__name__
            raise PersistorError(
                f"{name}.load_model gave no weights; return make_model_learnable(state_dict, {{}})"
            )
        return portable({name: as_tensor(value) for name, value in model.params.items()})

    def _save(self, weights: dict[str, Tensor]) -> None:
        """Gives the user's own persistor the new global model; ours has nothing to do."""
        if type(self.persistor).save_model is not OwnPersistor.save_model:
            self.save_model(FLModel(params_type=ParamsType.FULL, params=decoded(weights)))

    def _train(self, number: int, weights: dict[str, Tensor], base: str) -> Verdict:
        """Sends the round's tasks and gathers results until the rule says that it is over."""
        mean = mean_for(self._aggregator, weights, number - 1, self.fl_ctx)
        answers = self._open(RoundAnswers(weights, mean), ("train", number - 1))
        self.current_round = number - 1
        self._tell("training", number)
        task = FLModel(
            params_type=ParamsType.FULL,
            params=weights,
            current_round=number - 1,
            total_rounds=self._num_rounds,
            meta={BASE: base, SEGMENT: self._report.segment},
        )
        self.broadcast_model(
            task, targets=self._members, timeout=0, blocking=False, callback=self._take_result
        )
        verdict = self._watch(answers, self._terms)
        with self._mutex:
            answers.closed = True
        for name in answers.waiting(self._members, self._control().lost):
            if self._terms.timeout is not None and time.time() - answers.sent > self._terms.timeout:
                answers.fail(
                    name,
                    Reason.TRAINING_TIMEOUT,
                    f"{name} did not answer round {number} within roundTimeout "
                    f"({self._terms.timeout:g} s); raise federation.roundTimeout or train less",
                )
        self.cancel_all_tasks()
        self._tell("training", number)
        return verdict

    def _open(self, answers: RoundAnswers, task: TaskKey) -> RoundAnswers:
        """From now on answers to this task count, and to no other."""
        with self._mutex:
            self._answers, self._task = answers, task
        return answers

    def _watch(self, answers: RoundAnswers, terms: RoundTerms) -> Verdict:
        told = -1
        while True:
            if self.abort_signal.triggered:
                raise SupersededError
            control = self._control()
            with self._mutex:
                done = len(answers.accepted) + len(answers.failed)
                verdict = judge(
                    terms,
                    answered=len(answers.accepted),
                    waiting=len(answers.waiting(self._members, control.lost)),
                    elapsed=time.time() - answers.sent,
                    since_min=answers.seconds_since(terms.min_clients),
                )
            if self._broken is not None:
                raise self._broken
            if done != told:
                told = done
                self._tell(self._report.phase, self._report.round)
            if verdict is not Verdict.WAIT:
                return verdict
            time.sleep(POLL_SECONDS)

    def _validate(self, number: int, weights: dict[str, Tensor]) -> dict[str, float]:
        """The workers' fl_validate on the new global model; nobody is waited for twice."""
        training = self._answers
        answers = self._open(RoundAnswers(weights), ("validate", number - 1))
        members = sorted(training.accepted)
        self._report.phase = "validating"
        task = FLModel(
            params_type=ParamsType.FULL,
            params=weights,
            current_round=number - 1,
            total_rounds=self._num_rounds,
            meta={SEGMENT: self._report.segment},
        )
        everyone, self._members = self._members, members
        try:
            self.broadcast_model(
                task,
                task_name="validate",
                targets=members,
                timeout=0,
                blocking=False,
                callback=self._take_metrics,
            )
            terms = RoundTerms(1, self._terms.wait_after_min, self._terms.timeout)
            self._watch(answers, terms)
            with self._mutex:
                answers.closed = True
            self.cancel_all_tasks()
        finally:
            self._members, self._answers = everyone, training
        # What a worker's validation got wrong belongs to this round's record too.
        training.failed |= answers.failed
        parts = [(p.samples, p.metrics) for p in answers.accepted.values()]
        return {f"val_{name}": value for name, value in weighted_metrics(parts).items()}

    def _prepare_task_data(self, client_task: ClientTask, fl_ctx: FLContext) -> None:
        super()._prepare_task_data(client_task, fl_ctx)
        self._given[client_task.client.name] = _key(client_task)

    def _process_result(self, client_task: ClientTask, fl_ctx: FLContext) -> None:
        name = client_task.client.name
        failure = read_failure(client_task.result.get_header(FAILURE))
        code = client_task.result.get_return_code()
        super()._process_result(client_task, fl_ctx)
        with self._mutex:
            answers = self._answers
            if name in answers.accepted or name in answers.failed or answers.closed:
                return
            if _key(client_task) != self._task:
                return
            reason, message = failure or (
                Reason.TRAINING_FAILED.value,
                f"{name} answered {code}; see its log",
            )
            answers.fail(name, reason, message)

    def _refuse(self, name: str, task: TaskKey | None, reason: str, message: str) -> None:
        """Counts an answer that was not even decoded, if it is one to the task under way."""
        with self._mutex:
            answers = self._answers
            known = answers.failed.get(name, {}).get("message") == message
            if known or answers.closed or name in answers.accepted or name not in self._members:
                return
            late = task != self._task
            if not late:
                answers.fail(name, reason, message)
        if late:
            # Its round, which has its failure, is over; this one still waits for its answer.
            logger.warning("refused, and too late to count (%s): %s", reason, message)
            return
        # NVFlare gives it the task again, since it has no answer: it may yet do better.
        logger.error("refused (%s): %s", reason, message)

    def _take_result(self, model: FLModel) -> bool:
        name = model.meta["client_name"]
        with self._mutex:
            answers = self._answers
            if (
                answers.closed
                or name in answers.accepted
                or model.current_round != self.current_round
            ):
                return False
            try:
                # NVFlare's own executors tell their samples under its name for them.
                steps = model.meta.get(MetaKey.NUM_STEPS_CURRENT_ROUND)
                samples = check_samples(model.meta.get(SAMPLES, steps), name)
                weights = full_weights(model, answers.reference, name, partial=self._partial)
            except FedjobError as error:
                answers.fail(name, error.reason, str(error))
                return False
            try:
                answers.mean.add(weights, samples, name)
            except FedjobError as error:
                # Of the user's aggregator: no worker is to blame, and the round cannot be had.
                self._broken = error
                return False
            if not answers.reference:
                # The job has no model: the first answer says what the others must fit.
                answers.reference = weights
            answers.accept(name, samples, model)
        return True

    def _take_metrics(self, model: FLModel) -> bool:
        name = model.meta["client_name"]
        with self._mutex:
            if self._answers.closed or name in self._answers.accepted:
                return False
            try:
                samples = check_samples(model.meta.get(SAMPLES), name)
            except FedjobError as error:
                self._answers.fail(name, error.reason, str(error))
                return False
            self._answers.accept(name, samples, model)
        return True

    def _control(self) -> Control:
        control = self._handover.read_control()
        if control is None or control.segment != self._report.segment:
            raise SupersededError
        return control

    def _wait_for_commit(self, number: int) -> None:
        while self._control().committed < number:
            if self.abort_signal.triggered:
                raise SupersededError
            time.sleep(POLL_SECONDS)

    def _offer(
        self,
        number: int,
        sha256: str,
        answers: RoundAnswers,
        metrics: dict[str, float],
        times: RoundTimes,
        started: float,
    ) -> None:
        self._control()
        failures = [ClientFailure(name=name, **fault) for name, fault in answers.failed.items()]
        self._handover.offer_round(
            number,
            {
                "sha256": sha256,
                "participants": [p.model_dump() for p in answers.accepted.values()],
                "failures": [failure.model_dump() for failure in failures],
                "metrics": metrics,
                "times": times.model_dump(),
                "started": _rfc3339(started),
                "ended": _rfc3339(time.time()),
            },
        )

    def _tell(self, phase: str, number: int) -> None:
        with self._mutex:
            self._report.phase, self._report.round = phase, number
            self._report.answered = {n: p.samples for n, p in self._answers.accepted.items()}
            self._report.failed = dict(self._answers.failed)
        self._handover.report(self._report)

    def _end(self, outcome: str) -> None:
        self._report.outcome = outcome
        self._tell("ended", self._report.round)


def _key(client_task: ClientTask) -> TaskKey:
    task = client_task.task
    return task.name, int(task.data.get_header(AppConstants.CURRENT_ROUND, -1))


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
