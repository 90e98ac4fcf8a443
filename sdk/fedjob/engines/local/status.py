"""The status of a local run: from its server while it runs, else from its folder."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from fedjob.engines.local.record import RunRecord
from fedjob.engines.local.results.report_files import (
    last_noted_round,
    read_commit,
    read_commits,
    read_facts,
)
from fedjob.engines.local.run_folder import RunFolder
from fedjob.engines.local.server_status import read_file
from fedjob.engines.result import BestModelFile, RunResult, RunState, read_result, round_lines
from fedjob.engines.run_status import ClientInfo, RunEvent, RunStatus
from fedjob.protocol.commit import Commit
from fedjob.protocol.server_status import RunPhase, ServerStatus
from fedjob.spec.models.status import HISTORY_LENGTH, JobState

_STATES = {
    RunPhase.STARTING: JobState.STARTING,
    RunPhase.WAITING: JobState.STARTING,
    RunPhase.TRAINING: JobState.TRAINING,
    RunPhase.FINISHING: JobState.TRAINING,
    RunPhase.COMPLETE: JobState.COMPLETE,
    RunPhase.FAILED: JobState.FAILED,
}


def name_of(record: RunRecord) -> tuple[str, str]:
    """The job's name and namespace."""
    return (
        str(json.loads(record.identity.get("metadata.name", '""'))),
        str(json.loads(record.identity.get("metadata.namespace", '"default"'))),
    )


def live_status(server: ServerStatus, folder: RunFolder, record: RunRecord) -> RunStatus:
    """The status while the server answers."""
    name, namespace = name_of(record)
    total = server.total or record.num_rounds
    end = server.expected_end(total)
    return RunStatus(
        name=name,
        namespace=namespace,
        # Complete means delivered: the server says so before its files are in the folder.
        state=JobState.TRAINING if server.phase is RunPhase.COMPLETE else _STATES[server.phase],
        reason=server.reason,
        message=server.message,
        attempt=server.attempt,
        # A server that has just started does not know yet what is committed.
        completed=max(server.completed, last_noted_round(folder)),
        total=total,
        current=server.current,
        connected=len(server.connected),
        expected=len(server.clients),
        clients=_clients(server),
        retries=dict(server.retries),
        eta=_moment(end),
        start_time=_start(folder),
        **_progress(server.history),
    )


def folder_status(folder: RunFolder, record: RunRecord, *, running: bool) -> RunStatus:
    """The status while no server answers: before it starts, and after the run's end or stop.

    Args:
        folder: Where the run is.
        record: Of the run in it.
        running: Whether a process works on the run now.
    """
    name, namespace = name_of(record)
    commits = read_commits(folder)
    facts = read_facts(folder)
    shards = facts.shards if facts is not None else {}
    fields: dict[str, Any] = {
        "name": name,
        "namespace": namespace,
        "total": record.num_rounds,
        "completed": max((commit.round for commit in commits), default=0),
        "attempt": max((commit.attempt for commit in commits), default=0),
        "expected": len(shards),
        "start_time": _start(folder),
        "clients": [ClientInfo(name=worker, shard=shard) for worker, shard in shards.items()],
        **_progress(commits),
    }
    if folder.report.is_file():
        fields["report"] = folder.report.as_uri()
    last = None if running else read_file(folder.server_status)
    if last is not None and last.clients:
        # As the server saw them at its end.
        fields |= {"clients": _clients(last), "connected": len(last.connected)}
    result = None if running else read_result(folder.result)
    if result is not None:
        return RunStatus(**fields | _ended(folder, result))
    if running:
        return RunStatus(state=JobState.STARTING, message="starting the processes", **fields)
    message = "stopped before its end; run it again to resume after its last committed round"
    return RunStatus(state=JobState.SUSPENDED, message=message, **fields)


def events_of(server: ServerStatus) -> list[RunEvent]:
    """The events of the run, the oldest first."""
    return [
        RunEvent(
            time=datetime.fromtimestamp(event.time, UTC),
            type=event.type,
            reason=event.reason,
            message=event.message,
            about="server",
        )
        for event in server.events
    ]


def _ended(folder: RunFolder, result: RunResult) -> dict[str, Any]:
    complete = result.state is RunState.COMPLETE
    return {
        "state": JobState.COMPLETE if complete else JobState.FAILED,
        "reason": result.reason,
        "message": result.message,
        "result": result.model,
        "best": result.best,
        "completion_time": _moment(folder.result.stat().st_mtime),
    }


def _progress(commits: Sequence[Commit]) -> dict[str, Any]:
    ordered = sorted(commits, key=lambda commit: commit.round)
    if not ordered:
        return {}
    standing = ordered[-1].standing
    best = standing.best if standing is not None else None
    found = None if best is None else BestModelFile.of(best)
    metrics = {
        name: value if math.isfinite(value) else None for name, value in ordered[-1].metrics.items()
    }
    return {
        "history": round_lines(ordered)[-HISTORY_LENGTH:],
        "metrics": metrics,
        "best": found,
    }


def _clients(server: ServerStatus) -> list[ClientInfo]:
    return [
        ClientInfo(
            name=client.name,
            shard=client.shard,
            state=str(client.state),
            restarts=client.restarts,
            last_heartbeat=_moment(client.last_heartbeat),
            samples=client.samples,
            message=client.message,
        )
        for client in server.clients
    ]


def _start(folder: RunFolder) -> datetime | None:
    """When the initial model was committed, or this start was recorded."""
    first = read_commit(folder, 0)
    if first is not None:
        return datetime.fromisoformat(first.started)
    try:
        return _moment(folder.record.stat().st_mtime)
    except FileNotFoundError:
        return None


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
