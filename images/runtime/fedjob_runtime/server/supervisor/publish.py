"""Publishes a complete run: the model in both forms, report and rounds, to model_out/."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fedjob.formats import rfc3339
from fedjob.protocol.commit import Commit
from fedjob.protocol.config import ServerConfig
from fedjob.protocol.history import history_json
from fedjob.protocol.result_files import HISTORY, MODEL, MODEL_PT, REPORT
from fedjob.report import JobFacts, build
from fedjob.storage.layout import Layout
from fedjob.storage.rounds import RoundLog
from fedjob_runtime.server.orders import ParentError
from fedjob_runtime.server.supervisor.handover import SupervisorHandover


class Exporter(Protocol):
    """Whoever can import torch."""

    def export(self, number: int) -> None:
        """Has the model of a round written as torch.load reads it, to the folder of reports."""


@dataclass(frozen=True, slots=True)
class Published:
    """Where the final model is."""

    key: str
    sha256: str


def publish(
    config: ServerConfig,
    log: RoundLog,
    handover: SupervisorHandover,
    exporter: Exporter,
    last: int,
) -> Published:
    """Publishes the last round's model; safe to repeat.

    Args:
        config: The run.
        log: Its rounds.
        handover: Where the model in the other form may lie.
        exporter: Writes it where it does not.
        last: The last committed round.

    Raises:
        FedjobError: The store refuses, or the disk is full.
        ParentError: The model could not be written in the other form; another start may do it.
    """
    folder = Path(config.home) / "result"
    folder.mkdir(parents=True, exist_ok=True)
    model, legacy = folder / MODEL, folder / MODEL_PT
    commit = log.fetch_model(last, model)
    _bring_torch_file(handover, exporter, last, model, legacy)
    commits = [log.read(number) for number in log.commits()]
    page, history = folder / REPORT, folder / HISTORY
    page.write_text(_report_page(config, commits), encoding="utf-8")
    history.write_text(history_json(commits), encoding="utf-8")
    # The model last: where it is this round's, the others are there too (an operator looks at it).
    files = {MODEL_PT: legacy, REPORT: page, HISTORY: history, MODEL: model}
    log.publish_result(last, files)
    layout = Layout(config.namespace, config.name, config.store.prefix)
    return Published(layout.result(MODEL), commit.sha256)


def _bring_torch_file(
    handover: SupervisorHandover, exporter: Exporter, last: int, model: Path, target: Path
) -> None:
    made: Path | None = None
    if handover.own_torch_file(last).exists():
        made = handover.own_torch_file(last)
    else:
        start = handover.start_model(last)
        start.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(model, start)
        exporter.export(last)
        made = handover.take_torch_file(last)
    if made is None:
        raise ParentError("GLOBAL_MODEL.pt was not written; see the server's log")
    shutil.copyfile(made, target)


def _report_page(config: ServerConfig, commits: Sequence[Commit]) -> str:
    """The HTML of a complete run; runs that end otherwise get theirs from the engine."""
    training, federation = config.spec.training, config.spec.federation
    facts = JobFacts(
        name=config.name,
        namespace=config.namespace,
        state="Complete",
        total_rounds=federation.num_rounds,
        class_name=config.spec.model.class_name or "",
        shards={worker.name: worker.shard for worker in config.workers},
        settings={
            "local epochs": training.local_epochs,
            "batch size": training.batch_size,
            "learning rate": training.learning_rate,
            "classes": config.num_classes,
            "min clients": federation.min_clients,
        },
        generated=rfc3339(time.time()),
    )
    return build(facts, commits)
