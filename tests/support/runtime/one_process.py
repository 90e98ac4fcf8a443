"""A whole job in one process: the runtime's own parts, without NVFlare's processes and network.

What a real run has and this has not: processes, gRPC, S3, and the supervisor. A job takes half a
second here and twenty seconds of CPU there.
"""

from __future__ import annotations

import copy
import importlib
import json
import logging
import multiprocessing
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from nvflare.apis.fl_constant import ReservedKey, ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.signal import Signal
from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.utils.fl_model_utils import FLModelUtils
from safetensors.torch import load_file

from fedjob.preparation.prepared import PreparedRun
from fedjob.protocol.result_files import MODEL
from fedjob.spec.models.strategy import Strategy
from fedjob.workspace.job_folder import write_job_folder
from fedjob.workspace.shard.archive import unpack_shard
from fedjob_runtime.protocol import FAILURE, WARNINGS, JobSettings, read_failure
from fedjob_runtime.server.ipc import Control
from fedjob_runtime.server.job_process.evaluation import GlobalEvaluation
from fedjob_runtime.server.job_process.round_policy import RoundTerms
from fedjob_runtime.server.job_process.segment_run import SegmentRun, SegmentSettings
from fedjob_runtime.server.job_process.strategies.choose import strategy_mean
from fedjob_runtime.server.supervisor.handover import OfferedRound, SupervisorHandover
from fedjob_runtime.training.portable import portable
from fedjob_runtime.training.tensors.tensor_types import require_averageable

SEGMENT = 1


@dataclass
class Outcome:
    """How the job ended.

    Attributes:
        outcome: `complete`, `short` or `error`, as in `SegmentReport`.
        error: {reason, message} of an `error`.
        failed: {reason, message} by worker, of the last round.
        rounds: What was handed over for each round, from 1.
        warnings: The texts that came with the workers' answers.
        log: What the training code logged.
    """

    outcome: str
    error: dict[str, str]
    failed: dict[str, dict[str, str]]
    rounds: list[dict[str, Any]]
    warnings: list[str]
    log: str
    folder: Path = field(repr=False)

    @property
    def metrics(self) -> list[dict[str, float]]:
        """The metrics of each round."""
        return [line["metrics"] for line in self.rounds]

    @property
    def initial_weights(self) -> dict[str, torch.Tensor]:
        """The global model of round 0."""
        return load_file(_committed(self.folder, 0) / MODEL)

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        """The last global model."""
        return load_file(_committed(self.folder, len(self.rounds)) / MODEL)


class Workers:
    """The workers' executors, which are called where NVFlare would send a task."""

    aborted = False

    def __init__(self, prepared: PreparedRun, folder: Path, handover: SupervisorHandover) -> None:
        self._prepared, self._folder, self._handover = prepared, folder, handover
        self._executors = {name: _component(folder / "job", "client") for name in prepared.workers}
        self.segment: SegmentRun | None = None
        self.warnings: list[str] = []
        self.rounds: list[OfferedRound] = []

    def send(
        self, task: str, model: FLModel, members: list[str], take: Callable[[FLModel], bool]
    ) -> None:
        """Trains, one worker after the other."""
        assert self.segment is not None
        number = int(model.current_round or 0)
        if task == "train":
            self.commit(number)
            self._handover.write_control(Control(SEGMENT, committed=number))
        for name in members:
            context = FLContext()
            context.set_prop(ReservedKey.IDENTITY_NAME, name, private=False, sticky=True)
            shard = self._prepared.workers[name].name
            home = str(self._folder / name)
            with _environment(FEDJOB_HOME=home, FEDJOB_WORKER=name, FEDJOB_SHARD=shard):
                shareable = FLModelUtils.to_shareable(copy.deepcopy(model))
                reply = self._executors[name].execute(task, shareable, context, Signal())
            failure = read_failure(reply.get_header(FAILURE))
            if reply.get_return_code() != ReturnCode.OK or failure is not None:
                self.segment.note_answer(name, (task, number), failure or ("TrainingFailed", ""))
                continue
            answer = FLModelUtils.from_shareable(reply)
            answer.meta["client_name"] = name
            self.warnings += [f"{name}: {text}" for text in answer.meta.get(WARNINGS, [])]
            take(answer)

    def commit(self, number: int) -> None:
        """Keeps an offered round, as the supervisor would: the job process deletes it later."""
        offered = self._handover.offered_round(number)
        if offered is not None:
            self.rounds += [offered] if number else []
            made = self._handover.model_file(number).parent
            shutil.copytree(made, _committed(self._folder, number))

    def cancel(self) -> None:
        """Nothing is under way between two calls of `send`."""


def _committed(folder: Path, number: int) -> Path:
    return folder / "committed" / str(number)


def run_in_one_process(prepared: PreparedRun, folder: Path, disturbance: float = 0) -> Outcome:
    """Runs the job in a forked process, so that its modules and settings stay there.

    Args:
        prepared: The job, its folder and its shards.
        folder: Where everything is written.
        disturbance: Relative size of a change of the initial weights, which shows how much
            training amplifies rounding.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arguments = (prepared, folder, disturbance)
    child = multiprocessing.get_context("fork").Process(target=_child, args=arguments)
    child.start()
    child.join(120)
    if child.is_alive():
        child.kill()
        raise AssertionError(f"the job did not end: {(folder / 'log').read_text()}")
    log = (folder / "log").read_text()
    assert child.exitcode == 0, log
    found = json.loads((folder / "outcome.json").read_text())
    return Outcome(**found, log=log, folder=folder)


def _child(prepared: PreparedRun, folder: Path, disturbance: float) -> None:
    log = (folder / "log").open("w", buffering=1)
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
    sys.stdout = sys.stderr = log
    logging.basicConfig(stream=log, level=logging.INFO, force=True)
    torch.set_num_threads(1)
    (folder / "outcome.json").write_text(json.dumps(_run(prepared, folder, disturbance)))


def _run(prepared: PreparedRun, folder: Path, disturbance: float) -> dict[str, Any]:
    job, state = write_job_folder(prepared.job_files, folder / "job"), folder / "state"
    federation = prepared.job.spec.federation
    handover = SupervisorHandover(state, [*prepared.workers], federation.num_rounds)
    settings = JobSettings.read(job)
    assert settings is not None
    handover.clear_orders()
    handover.reports.mkdir()
    os.environ |= {
        "FEDJOB_HANDOVER": str(state),
        "FEDJOB_JOB_FOLDER": str(job),
        "FEDJOB_JOB_ID": prepared.job.metadata.name,
        "FEDJOB_DEVICE": "cpu",
    }
    sys.path.insert(0, str(job / "app/custom"))
    for name, shard in prepared.workers.items():
        (folder / name).mkdir()
        unpack_shard(shard.path, folder / name / settings.data_root, manifest_file=None)
    if prepared.validation is not None:
        unpack_shard(prepared.validation.path, handover.validation(), manifest_file=None)
    if prepared.checkpoint is not None:
        suffix = prepared.checkpoint.suffix
        (handover.orders / f"checkpoint{suffix}").write_bytes(prepared.checkpoint.read_bytes())
    handover.write_control(Control(SEGMENT))
    workers = Workers(prepared, folder, handover)
    strategy = federation.strategy or Strategy()
    segment = workers.segment = SegmentRun(
        SegmentSettings(
            segment=SEGMENT,
            start_round=-1,
            num_rounds=federation.num_rounds,
            members=tuple(prepared.workers),
            terms=RoundTerms(federation.min_clients, 0, None),
            partial=federation.partial,
        ),
        handover,
        workers,
        new_mean=lambda weights, _, kept: strategy_mean(
            strategy.name, strategy.arguments(), weights, kept, list(weights)
        ),
        keep=lambda _: None,
        custom=job / "app/custom",
    )
    try:
        segment.run(
            segment.start(lambda: _initial_weights(job, disturbance)), GlobalEvaluation.prepare()
        )
    except Exception as error:
        logging.exception("the segment ends")
        segment.fail(error)
    report = handover.read_report(SEGMENT)
    assert report is not None
    if len(workers.rounds) < federation.num_rounds:
        workers.commit(len(workers.rounds) + 1)
    return {
        "outcome": report.outcome,
        "error": report.error,
        "failed": report.failed,
        "rounds": [offered.model_dump(mode="json") for offered in workers.rounds],
        "warnings": workers.warnings,
    }


def _initial_weights(job: Path, disturbance: float) -> dict[str, torch.Tensor]:
    persistor = _component(job, "server")
    weights = dict(persistor.load_model(FLContext())["weights"])
    require_averageable(weights, type(persistor).__name__)
    weights = portable(weights)
    if disturbance:
        # A generator of its own: training draws the same numbers as without it.
        generator = torch.Generator().manual_seed(1)
        for value in (value for value in weights.values() if value.is_floating_point()):
            change = torch.randn(value.shape, generator=generator, dtype=torch.float64)
            value.copy_(value.double() * (1 + disturbance * change))
    return weights


def _component(job: Path, site: str) -> Any:
    """The executor or the persistor of the job folder, made as NVFlare would make it."""
    config = json.loads((job / f"app/config/config_fed_{site}.json").read_text())
    parts = [*(e["executor"] for e in config.get("executors", [])), *config["components"]]
    module, _, name = parts[0]["path"].rpartition(".")
    return getattr(importlib.import_module(module), name)(**parts[0]["args"])


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ |= values
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value
