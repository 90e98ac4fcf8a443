"""NVFlare's controller of a segment: connects the rounds to NVFlare's tasks, persistor and cell.

Runs in the server's job process, the only process of the server that imports torch and the
author's code. It holds no credentials: a finished round is handed to the supervisor.
"""

from __future__ import annotations

import fedjob_runtime.processes.torch_import  # noqa: F401 (first: see there)  # isort: skip

import logging
from collections.abc import Callable
from typing import Any

from nvflare.apis.controller_spec import ClientTask
from nvflare.apis.fl_context import FLContext
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from nvflare.app_common.app_constant import AppConstants
from nvflare.app_common.workflows.model_controller import ModelController
from nvflare.app_opt.pt.decomposers import TensorDecomposer
from nvflare.fuel.utils import fobs
from torch import Tensor

from fedjob.errors import FedjobError
from fedjob.reasons import Reason
from fedjob_runtime.processes.children import exit_when_orphaned
from fedjob_runtime.protocol import (
    ENV_HANDOVER,
    ENV_JOB_FOLDER,
    FAILURE,
    env_path,
    read_failure,
)
from fedjob_runtime.server.ipc import Handover
from fedjob_runtime.server.job_process.aggregators import Mean, authors_mean
from fedjob_runtime.server.job_process.evaluation import GlobalEvaluation
from fedjob_runtime.server.job_process.failures import described, folder_of
from fedjob_runtime.server.job_process.persistor import ModelPersistor as OwnPersistor
from fedjob_runtime.server.job_process.result_receiver import ResultReceiver, answer_limit
from fedjob_runtime.server.job_process.round_policy import RoundTerms
from fedjob_runtime.server.job_process.round_results import TaskKey
from fedjob_runtime.server.job_process.segment_run import (
    POLL_SECONDS,
    SegmentRun,
    SegmentSettings,
    SupersededError,
)
from fedjob_runtime.server.job_process.strategies.choose import has_state, strategy_mean
from fedjob_runtime.training.answers.adapt import as_tensor
from fedjob_runtime.training.extra_state import decoded
from fedjob_runtime.training.portable import portable
from fedjob_runtime.training.tensors.tensor_types import require_averageable

logger = logging.getLogger("fedjob.server")


class PersistorError(FedjobError):
    """The author's persistor gives no initial model."""

    reason = Reason.MODEL_INVALID


class PersistorInvalidError(FedjobError):
    """The component `persistor` is not an NVFlare persistor."""

    reason = Reason.COMPONENT_INVALID


class SegmentController(ModelController):
    """FedAvg as one segment of a federation that outlives its processes.

    Args:
        num_rounds: Rounds of the whole job.
        min_clients: Results that a round needs.
        wait_time_after_min_received: Seconds to wait for further results after min_clients.
        round_timeout: Seconds after which a round continues without those that have not answered;
            None waits for as long as they are connected.
        persistor_id: The component that gives the initial model.
        segment: This segment's number, set by the supervisor.
        start_round: The committed round it starts from; -1 where there is none yet.
        clients: The workers that take part.
        partial: An answer may hold a part of the model (spec.federation.partial).
        strategy: `spec.federation.strategy.name`.
        strategy_args: Its arguments, complete, in snake case.
    """

    def __init__(
        self,
        *,
        num_rounds: int,
        min_clients: int,
        wait_time_after_min_received: float = 10,
        round_timeout: float | None = None,
        persistor_id: str = "persistor",
        segment: int = 0,
        start_round: int = -1,
        clients: list[str] | None = None,
        partial: bool = False,
        strategy: str = "FedAvg",
        strategy_args: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(
            persistor_id=persistor_id,
            ignore_result_error=True,
            # Without a model the first answers make it; an empty one is refused here.
            allow_empty_global_weights=True,
            task_check_period=POLL_SECONDS,
        )
        self._settings = SegmentSettings(
            segment=segment,
            start_round=start_round,
            num_rounds=num_rounds,
            members=tuple(clients or ()),
            terms=RoundTerms(min_clients, wait_time_after_min_received, round_timeout),
            partial=partial,
        )
        self._strategy = strategy
        self._strategy_args = strategy_args or {}
        self._buffers: set[str] | None = None
        self._segment: SegmentRun | None = None

    def run(self) -> None:
        """Runs the segment; NVFlare calls it."""
        exit_when_orphaned()
        fobs.register(TensorDecomposer)
        aggregator = self.engine.get_component("aggregator")
        segment = self._segment = SegmentRun(
            self._settings,
            Handover(env_path(ENV_HANDOVER)),
            self,
            new_mean=lambda weights, number, kept: self._mean(aggregator, weights, number, kept),
            keep=self._keep,
            custom=env_path(ENV_JOB_FOLDER) / "app/custom",
        )
        try:
            weights = segment.start(self._initial_weights)
            ResultReceiver(
                self.engine.get_cell(),
                self.engine.server.command_agent.execute_command,
                answer_limit(weights),
                segment.given,
                segment.refuse,
            ).open()
            segment.run(weights, GlobalEvaluation.prepare())
        except SupersededError:
            self.cancel()
        except Exception as error:
            logger.exception("the segment ends")
            self.cancel()
            segment.fail(error)

    def _mean(
        self, aggregator: object, weights: dict[str, Tensor], number: int, kept: dict[str, Tensor]
    ) -> Mean:
        """What folds a round's answers together: the author's aggregator, or the strategy."""
        if aggregator is not None:
            return authors_mean(aggregator, weights, number, self.fl_ctx)
        if self._buffers is None:
            own = isinstance(self.persistor, OwnPersistor) and has_state(self._strategy)
            self._buffers = self.persistor.buffers() if own else set()
        trained = [name for name in weights if name not in self._buffers]
        return strategy_mean(self._strategy, self._strategy_args, weights, kept, trained)

    # What the rounds ask of NVFlare.

    @property
    def aborted(self) -> bool:
        """Whether NVFlare is ending the job."""
        return bool(self.abort_signal.triggered)

    def send(
        self, task: str, model: FLModel, members: list[str], take: Callable[[FLModel], bool]
    ) -> None:
        """Offers a task to the members; `take` is called with each answer, on another thread."""
        self.current_round = model.current_round
        self.broadcast_model(
            model, task_name=task, targets=members, timeout=0, blocking=False, callback=take
        )

    def cancel(self) -> None:
        """Withdraws every task."""
        self.cancel_all_tasks()

    # The author's persistor.

    def _initial_weights(self) -> dict[str, Tensor]:
        if self.persistor is None:
            component = self.engine.get_component(self._persistor_id)
            raise PersistorInvalidError(
                f"spec.components.persistor: {type(component).__name__} does not derive from "
                "NVFlare's ModelPersistor; derive it from that class"
            )
        source = f"{type(self.persistor).__name__}.load_model"
        try:
            model = self.load_model()
            given = {} if model is None or not model.params else dict(model.params)
            weights = {str(name): as_tensor(value) for name, value in given.items()}
            wrong = [name for name, value in weights.items() if not isinstance(value, Tensor)]
            if wrong:
                raise PersistorError(
                    f"{source}: {wrong[0]} is a {type(weights[wrong[0]]).__name__}, not a tensor; "
                    "return make_model_learnable(state_dict, {})"
                )
        except FedjobError:
            raise
        except Exception as error:
            # The author's code may raise anything; its last frames are theirs to read.
            raise PersistorError(
                f"{source} failed: {described(error, folder_of(self.persistor))}\n"
                "correct it, or leave spec.components.persistor out"
            ) from error
        if not weights and (model is None or getattr(self.persistor, "has_model", True)):
            raise PersistorError(
                f"{source} gave no weights; return make_model_learnable(state_dict, {{}})"
            )
        require_averageable(weights, source)
        return portable(weights)

    def _keep(self, weights: dict[str, Tensor]) -> None:
        """Gives the author's own persistor the new global model; ours has nothing to do."""
        if type(self.persistor).save_model is not OwnPersistor.save_model:
            self.save_model(FLModel(params_type=ParamsType.FULL, params=decoded(weights)))

    # What NVFlare calls, on threads of its own.

    def _prepare_task_data(self, client_task: ClientTask, fl_ctx: FLContext) -> None:
        super()._prepare_task_data(client_task, fl_ctx)
        if self._segment is not None:
            self._segment.gave(client_task.client.name, _key(client_task))

    def _process_result(self, client_task: ClientTask, fl_ctx: FLContext) -> None:
        name = client_task.client.name
        failure = read_failure(client_task.result.get_header(FAILURE))
        code = client_task.result.get_return_code()
        super()._process_result(client_task, fl_ctx)
        if self._segment is not None:
            text = f"{name} answered {code}; see its log"
            failure = failure or (Reason.TRAINING_FAILED.value, text)
            self._segment.note_answer(name, _key(client_task), failure)


def _key(client_task: ClientTask) -> TaskKey:
    task = client_task.task
    return task.name, int(task.data.get_header(AppConstants.CURRENT_ROUND, -1))
