"""Publishes a complete run: the model in both forms, report and rounds, to model_out/."""

from __future__ import annotations

import filecmp
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fedjob.errors import FedjobError
from fedjob.formats import rfc3339
from fedjob.protocol.commit import Commit
from fedjob.protocol.config import ServerConfig
from fedjob.protocol.history import history_json
from fedjob.protocol.result_files import HISTORY, MODEL, MODEL_PT, REPORT
from fedjob.report import JobFacts, build
from fedjob.storage.layout import Layout
from fedjob.storage.rounds import RoundLog
from fedjob_runtime.server.ipc import Handover


@dataclass(frozen=True, slots=True)
class Published:
    """Where the final model is."""

    key: str
    sha256: str


def publish(config: ServerConfig, log: RoundLog, handover: Handover) -> Published:
    """Publishes the last round's model; safe to repeat.

    Raises:
        FedjobError: The store refuses, or the disk is full.
    """
    total = config.spec.federation.num_rounds
    folder = Path(config.home) / "result"
    folder.mkdir(parents=True, exist_ok=True)
    model, legacy = folder / MODEL, folder / MODEL_PT
    commit = log.fetch_model(total, model)
    _bring_torch_file(handover, total, model, legacy)
    commits = [log.read(number) for number in log.commits()]
    page, history = folder / REPORT, folder / HISTORY
    page.write_text(_report_page(config, commits), encoding="utf-8")
    history.write_text(history_json(commits), encoding="utf-8")
    # The model last: where it is this round's, the others are there too (an operator looks at it).
    files = {MODEL_PT: legacy, REPORT: page, HISTORY: history, MODEL: model}
    log.publish_result(total, files)
    layout = Layout(config.namespace, config.name, config.store.prefix)
    return Published(layout.result(MODEL), commit.sha256)


def _bring_torch_file(handover: Handover, total: int, model: Path, target: Path) -> None:
    made, ours = handover.torch_file(total), handover.model_file(total)
    # Only for the committed model: another segment may have left a file that was not committed.
    if made.exists() and ours.exists() and filecmp.cmp(ours, model, shallow=False):
        shutil.copyfile(made, target)
        return
    command = [
        sys.executable,
        "-m",
        "fedjob_runtime.server.job_process.torch_export",
        str(model),
        str(target),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise FedjobError(
            f"GLOBAL_MODEL.pt could not be written: {done.stderr.strip()[-500:]}; "
            "see whether the server's disk is full, and start it again"
        )


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
