"""From the store to OUT: the model, checked against its commit, the report and result.json."""

from __future__ import annotations

from fedjob.engines.local.record import RunRecord
from fedjob.engines.local.results.outcome import Outcome
from fedjob.engines.local.results.report_files import note_commits, write_report
from fedjob.engines.local.run_folder import RunFolder
from fedjob.engines.result import (
    BestModelFile,
    ModelFile,
    RunResult,
    RunState,
    read_result,
    round_lines,
)
from fedjob.preparation.prepared import PreparedRun
from fedjob.protocol.commit import Commit
from fedjob.protocol.standing import rounds_reached, stopped_at
from fedjob.storage.bucket import Bucket
from fedjob.storage.checksum import sha256_of
from fedjob.storage.layout import Layout
from fedjob.storage.rounds import RoundLog


def deliver(
    prepared: PreparedRun, folder: RunFolder, bucket: Bucket, layout: Layout, outcome: Outcome
) -> RunResult:
    """Fetch what the run has made, and say how it ended; also for a run that failed.

    Args:
        prepared: The job.
        folder: Gets result.json, report.html and, of a complete run, both model files.
        bucket: The store, running.
        layout: The job's keys.
        outcome: How the processes ended.

    Raises:
        ChecksumMismatchError: A published file is not the committed one; nothing is replaced by it.
        StoreError: The store does not give what it has.
    """
    log = RoundLog(bucket, layout)
    commits = [log.read(number) for number in log.commits()]
    model = _fetch_model(folder, bucket, layout, commits[-1]) if outcome.complete else None
    meta = prepared.job.metadata
    result = RunResult(
        name=meta.name,
        namespace=meta.namespace,
        state=RunState.COMPLETE if outcome.complete else RunState.FAILED,
        reason=outcome.reason,
        message=outcome.message,
        rounds=round_lines(commits),
        model=model,
        best=_fetch_best(folder, log, commits[-1]) if commits else None,
        stopped=stopped_at(commits[-1]) if outcome.complete else None,
        num_classes=prepared.num_classes,
        restarts=dict(outcome.restarts),
        seconds=round(outcome.seconds, 3),
    )
    note_commits(folder, commits)
    result.write(folder.result)
    write_report(folder)
    return result


def delivered(folder: RunFolder, record: RunRecord) -> RunResult | None:
    """The result that is in the folder already, if it is complete and its files are whole."""
    result = read_result(folder.result)
    if result is None or result.state is not RunState.COMPLETE or result.model is None:
        return None
    last = result.rounds[-1].round if result.rounds else 0
    reached = rounds_reached(last, result.stopped)
    if reached != record.num_rounds or not folder.model_pt.is_file() or not folder.report.is_file():
        return None
    if not folder.model.is_file() or sha256_of(folder.model) != result.model.sha256:
        return None
    best = result.best
    if best is not None and (
        not folder.best_model.is_file() or sha256_of(folder.best_model) != best.sha256
    ):
        return None
    return result


def _fetch_model(folder: RunFolder, bucket: Bucket, layout: Layout, last: Commit) -> ModelFile:
    model = layout.result(folder.model.name)
    bucket.download_file(model, folder.model, last.sha256)
    # torch.save's bytes are in no commit; the store keeps their SHA-256 beside them.
    bucket.download_file(layout.result(folder.model_pt.name), folder.model_pt)
    return ModelFile(uri=folder.model.as_uri(), sha256=last.sha256, size=last.size)


def _fetch_best(folder: RunFolder, log: RoundLog, last: Commit) -> BestModelFile | None:
    best = last.standing.best if last.standing is not None else None
    if best is None:
        return None
    log.fetch_model(best.round, folder.best_model)
    return BestModelFile.of(best, uri=folder.best_model.as_uri())
