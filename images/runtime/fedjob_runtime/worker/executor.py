"""The executor: what NVFlare calls in a worker's job process, once per task.

It loads the user's code, gives it the global weights, checks what comes back and answers with
tensors. Whatever goes wrong becomes an answer that names the worker and says what to do; nothing is
raised into NVFlare, which would end the job for every worker.
"""

from __future__ import annotations

import fedjob_runtime.processes.torch_import  # noqa: F401 (first: see there)  # isort: skip

import logging
import os
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from nvflare.apis.event_type import EventType
from nvflare.apis.executor import Executor
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.apis.signal import Signal
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from nvflare.app_common.utils.fl_model_utils import FLModelUtils
from nvflare.app_opt.pt.decomposers import TensorDecomposer
from nvflare.fuel.utils import fobs
from torch import Tensor

from fedjob.errors import FedjobError
from fedjob.reasons import Reason
from fedjob_runtime.processes.children import exit_when_orphaned
from fedjob_runtime.protocol import (
    ANSWER_SHA256,
    BASE,
    ENV_DEVICE,
    ENV_HOME,
    ENV_JOB_FOLDER,
    ENV_JOB_ID,
    ENV_KEEP_FILES,
    ENV_SHARD,
    FAILURE,
    GENERATED_MODULE,
    PARTIAL,
    SAMPLES,
    STATE_FOLDER,
    WARNINGS,
    check_task,
    env_path,
    env_text,
    failure_header,
    version_meta,
)
from fedjob_runtime.training.errors import TrainingError
from fedjob_runtime.training.evaluate import evaluate
from fedjob_runtime.training.forms import TrainingContext, run_training
from fedjob_runtime.training.model import build_model, load_user_module, set_weights
from fedjob_runtime.training.model_state import gives_part
from fedjob_runtime.training.notes import CONVERSIONS, Note
from fedjob_runtime.training.signatures import find_validate_function
from fedjob_runtime.training.weights import digest
from fedjob_runtime.worker.kept_files import keep_files, kept_files_from
from fedjob_runtime.worker.result_cache import Answer, AnswerStore
from fedjob_runtime.worker.training_lock import training_lock

logger = logging.getLogger("fedjob.worker")


class TrainExecutor(Executor):
    """Runs the user's training function on this worker's shard (CONTRACT section 1).

    Args:
        data_root: The shard's folder, relative to the worker's home.
        adapter_module: The module below app/custom that holds the training function.
        train_fn: Its name.
        validate_fn: The user's fl_validate, or None.
        class_name: What makes the model in model_def.py; None where the job has no model.
        model_args: Keyword arguments of its constructor.
        hyperparameters: local_epochs, batch_size, learning_rate, num_classes, img_size,
            manifest_file, extra, num_rounds, num_clients.
        partial: The training function may return a part of the model (spec.federation.partial).
    """

    def __init__(
        self,
        *,
        data_root: str,
        adapter_module: str,
        train_fn: str | None,
        validate_fn: str | None,
        class_name: str | None,
        model_args: dict[str, Any],
        hyperparameters: dict[str, Any],
        partial: bool = False,
    ) -> None:
        super().__init__()
        self._data_root = data_root
        self._adapter = adapter_module
        self._train_fn = train_fn
        self._validate_fn = validate_fn
        self._class_name = class_name
        self._args = model_args
        self._hyperparameters = hyperparameters
        self._partial = partial
        self._noted: set[Note] = set()
        self._last: Answer | None = None

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Prepares the process at the start of a segment."""
        if event_type == EventType.START_RUN:
            exit_when_orphaned()
            fobs.register(TensorDecomposer)

    def execute(
        self, task_name: str, shareable: Shareable, fl_ctx: FLContext, abort_signal: Signal
    ) -> Shareable:
        """Runs one task: `train`, `validate` or `submit_model`."""
        worker = fl_ctx.get_identity_name()
        try:
            return self._execute(task_name, shareable, worker, abort_signal)
        except FedjobError as error:
            if isinstance(error, TrainingError) and not error.worker:
                error.worker = worker
            _log(error)
            return _refusal(error.reason, str(error))
        except Exception as error:
            # The boundary to NVFlare: an exception here would end the job for every worker.
            logger.exception("%s: internal error in task %s", worker, task_name)
            return _refusal(
                Reason.TRAINING_FAILED, f"{worker}: {type(error).__name__}: {error}; see its log"
            )

    def _execute(
        self, task_name: str, shareable: Shareable, worker: str, abort_signal: Signal
    ) -> Shareable:
        if task_name == "submit_model":
            return self._submit(worker)
        if task_name not in ("train", "validate"):
            return make_reply(ReturnCode.TASK_UNKNOWN)
        task = FLModelUtils.from_shareable(shareable)
        check_task(task.meta or {}, worker)
        number = int(task.current_round or 0)
        weights: dict[str, Tensor] = task.params or {}
        if not weights and number > 0:
            # CONTRACT row 36.
            return _refusal(
                Reason.BAD_TASK_DATA,
                f"{worker}: the task of round {number} carries no weights; only round 0 may",
                ReturnCode.BAD_TASK_DATA,
            )
        home = env_path(ENV_HOME)
        with training_lock(home):
            if abort_signal.triggered:
                return make_reply(ReturnCode.TASK_ABORTED)
            if task_name == "validate":
                return self._validate(weights, self._context(worker, number, home))
            store, base = AnswerStore(home), str(task.meta.get(BASE, ""))
            answer = store.find(number, base)
            if answer is None:
                answer = self._train(weights, self._context(worker, number, home))
                store.keep(number, base, answer)
            else:
                logger.info(
                    "%s: round %d was trained before; its answer is sent again", worker, number
                )
        self._last = answer
        return _reply(answer, number)

    def _train(self, weights: dict[str, Tensor], context: TrainingContext) -> Answer:
        custom, module, model = self._model(weights)
        if self._adapter != "model_def":
            module = load_user_module(custom, self._adapter)
        result = run_training(
            module,
            self._train_fn,
            model,
            weights,
            context,
            partial=self._partial,
            logger=logger,
        )
        warnings = list(result.warnings)
        keep = kept_files_from(os.environ.get(ENV_KEEP_FILES))
        if keep is not None:
            note = keep_files(keep, context.out_dir, context.round + 1)
            if note is not None:
                logger.warning("%s, round %d: %s", context.worker, context.round, note)
                warnings.append(note)
        notes = [str(note) for note in self._new(warnings)]
        part = self._partial or (model is not None and gives_part(model))
        # Before it is kept or sent: what happens to it from now on is noticed.
        sha256 = digest(result.weights)
        return Answer(result.weights, result.samples, result.metrics, notes, part, sha256)

    def _new(self, notes: Iterable[Note]) -> list[Note]:
        """Without the conversions that this process has reported in an earlier round."""
        new = [n for n in notes if n.reason not in CONVERSIONS or n not in self._noted]
        self._noted.update(new)
        return new

    def _validate(self, weights: dict[str, Tensor], context: TrainingContext) -> Shareable:
        _, module, model = self._model(weights)
        if model is None:
            return make_reply(ReturnCode.TASK_UNKNOWN)
        function = find_validate_function(module, self._validate_fn) if self._validate_fn else None
        generated = self._adapter == GENERATED_MODULE
        found = evaluate(model.to(context.device), context, function, logger, generated=generated)
        reply = FLModel(
            metrics=found.metrics,
            current_round=context.round,
            meta={**version_meta(), SAMPLES: found.samples},
        )
        return FLModelUtils.to_shareable(reply)

    def _model(self, weights: dict[str, Tensor]) -> tuple[Path, ModuleType, torch.nn.Module | None]:
        custom = env_path(ENV_JOB_FOLDER) / "app/custom"
        module = load_user_module(custom, "model_def")
        if self._class_name is None:
            return custom, module, None
        classes = int(self._hyperparameters.get("num_classes", 0))
        model = build_model(module, self._class_name, self._args, classes)
        if weights:
            set_weights(model, weights)
        return custom, module, model

    def _context(self, worker: str, number: int, home: Path) -> TrainingContext:
        return TrainingContext.from_hyperparameters(
            self._hyperparameters,
            worker=worker,
            job_id=env_text(ENV_JOB_ID),
            round=number,
            data_root=home / self._data_root,
            device=env_text(ENV_DEVICE),
            shard_name=os.environ.get(ENV_SHARD, ""),
            state_dir=home / STATE_FOLDER,
        )

    def _submit(self, worker: str) -> Shareable:
        if self._last is None:
            return _refusal(Reason.BAD_TASK_DATA, f"{worker} has trained no model yet")
        return _reply(self._last, None)


def _log(error: FedjobError) -> None:
    """The message once, and the whole traceback of what the author's code raised."""
    cause = error.__cause__
    text = error.brief if isinstance(error, TrainingError) else str(error)
    logger.error("%s", text, exc_info=cause if cause is not None else False)


def _reply(answer: Answer, number: int | None) -> Shareable:
    model = FLModel(
        params_type=ParamsType.FULL,
        params=answer.weights,
        metrics=answer.metrics,
        current_round=number,
        meta={
            **version_meta(),
            SAMPLES: answer.samples,
            WARNINGS: answer.warnings,
            PARTIAL: answer.partial,
            **({ANSWER_SHA256: answer.sha256} if answer.sha256 else {}),
        },
    )
    return FLModelUtils.to_shareable(model)


def _refusal(reason: str, message: str, code: str = ReturnCode.EXECUTION_EXCEPTION) -> Shareable:
    reply = make_reply(code)
    reply.set_header(FAILURE, failure_header(reason, message))
    return reply
