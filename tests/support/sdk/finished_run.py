"""A run that has ended, as its folder on this machine holds it, without having run."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from fedjob.engines.local.log_files import start_line
from fedjob.engines.local.record import record_of
from fedjob.engines.local.results.report_files import (
    facts_of,
    note_commits,
    note_facts,
    write_report,
)
from fedjob.engines.local.run_folder import RunFolder
from fedjob.engines.local.submission import keep_submission
from fedjob.engines.result import ModelFile, RunResult, RunState, round_lines
from fedjob.preparation.prepared import PreparedRun
from fedjob.protocol.commit import Commit, Participant, RoundTimes
from fedjob.protocol.server_status import ClientState, ClientView, RunEvent, ServerStatus
from fedjob.storage.checksum import sha256_of
from fedjob.workspace.job_folder import write_job_folder


def commits_of(prepared: PreparedRun) -> list[Commit]:
    """Every round of the job, a minute each; the loss falls and every worker answers."""
    total = prepared.job.spec.federation.num_rounds
    return [
        Commit(
            round=number,
            attempt=1,
            sha256=f"{number:064x}",
            size=1,
            participants=[Participant(name=name, samples=20) for name in prepared.workers]
            if number
            else [],
            metrics={"loss": 0.5 / number, "val_accuracy": number / (total + 1)} if number else {},
            times=RoundTimes(total=60.0),
            started=f"2026-01-02T03:{max(number - 1, 0):02d}:00Z",
            ended=f"2026-01-02T03:{number:02d}:00Z",
        )
        for number in range(total + 1)
    ]


def finish(prepared: PreparedRun, out: Path, *, failed: str = "") -> RunFolder:
    """Write the folder of a run that has ended.

    Args:
        prepared: The job.
        out: The folder.
        failed: Why it failed after its first round; empty: it is complete.
    """
    folder = RunFolder.at(out)
    commits = commits_of(prepared)[: 2 if failed else None]
    folder.state.mkdir(parents=True)
    write_job_folder(prepared.job_files, folder.job)
    keep_submission(folder, prepared)
    record_of(prepared.job, prepared.digests).write(folder.record)
    note_facts(folder, facts_of(prepared))
    note_commits(folder, commits)
    save_file({"weight": torch.ones(2, 3), "bias": torch.zeros(2)}, folder.model)
    torch.save({"weight": torch.ones(2, 3), "bias": torch.zeros(2)}, folder.model_pt)
    folder.logs.mkdir()
    for site in ("server", *prepared.workers):
        lines = "2026-01-02T03:00:30Z epoch 1 loss 0.5\n"
        folder.log(site).write_text(start_line(site) + lines)
    meta = prepared.job.metadata
    model = ModelFile(
        uri=folder.model.as_uri(),
        sha256=sha256_of(folder.model),
        size=folder.model.stat().st_size,
    )
    RunResult(
        name=meta.name,
        namespace=meta.namespace,
        state=RunState.FAILED if failed else RunState.COMPLETE,
        reason="TrainingFailed" if failed else "",
        message=failed,
        rounds=round_lines(commits),
        model=None if failed else model,
        seconds=60.0 * (len(commits) - 1),
    ).write(folder.result)
    clients = [
        ClientView(name=name, shard=shard.name, state=ClientState.ANSWERED, samples=20)
        for name, shard in prepared.workers.items()
    ]
    event = RunEvent(time=1767323100.0, reason="RoundCompleted", message="round 1")
    status = ServerStatus(clients=clients, events=[event])
    folder.server_status.parent.mkdir()
    folder.server_status.write_text(json.dumps(status.model_dump(mode="json", by_alias=True)))
    write_report(folder)
    return folder
