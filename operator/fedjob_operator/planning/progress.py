"""The progress of a run in its status: rounds, history, metrics, expected end, result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fedjob.formats import rfc3339
from fedjob.protocol.server_status import ServerStatus
from fedjob.spec.models.status import (
    HISTORY_LENGTH,
    BestStatus,
    FederatedJobStatus,
    ResultStatus,
    RoundRecord,
    RoundsStatus,
)
from fedjob_operator.planning.job_view import JobView
from fedjob_operator.planning.status_inputs import StatusInputs
from fedjob_operator.planning.store_location import layout_of, location_of
from fedjob_operator.state.record import Result

MOST_METRICS = 64
MOST_RETRIES = 32

_BEST_METRICS = ("val_accuracy", "accuracy", "val_loss", "loss")
_KEPT = ("history", "metric", "metrics", "retries", "attempt", "result", "report", "best")


def progress(inputs: StatusInputs) -> dict[str, Any]:
    """Fields of the status: from the server's status, else as they were in the status before."""
    status, before = inputs.server_status, inputs.view.status
    total = inputs.view.job.spec.federation.num_rounds
    old = FederatedJobStatus.model_validate({n: before[n] for n in _KEPT if n in before})
    fields: dict[str, Any] = {name: getattr(old, name) for name in _KEPT}
    completed = min(int((before.get("rounds") or {}).get("completed", 0)), total)
    if status is not None and (status.completed or status.attempt):
        fields |= _from_server(status)
        fields |= _best(inputs.view, status)
        # A server that has just started has not read the log of rounds yet, and reports 0.
        completed = status.completed or completed
    end = inputs.end
    if isinstance(end, Result):
        completed = end.round
        fields |= _result(inputs.view, end)
    fields["rounds"] = RoundsStatus(
        completed=completed, total=total, display=f"{completed}/{total}"
    )
    fields["eta"] = _eta(status, total) if end is None else None
    return fields


def _from_server(status: ServerStatus) -> dict[str, Any]:
    fields: dict[str, Any] = {"attempt": status.attempt}
    if status.retries:
        fields["retries"] = dict(sorted(status.retries.items())[:MOST_RETRIES])
    if status.history:
        fields["history"] = [
            RoundRecord(
                round=commit.round,
                clients=len(commit.participants),
                samples=commit.samples,
                metrics=_rounded(commit.metrics),
                seconds=round(commit.times.total, 3),
            )
            for commit in status.history[-HISTORY_LENGTH:]
        ]
        fields["metrics"] = _rounded(status.history[-1].metrics)
        fields["metric"] = _metric(status.history[-1].metrics)
    return fields


def _best(view: JobView, status: ServerStatus) -> dict[str, Any]:
    """The best round, where the spec compares rounds; the log of rounds keeps its model."""
    standing = status.history[-1].standing if status.history else None
    if standing is None or standing.best is None:
        return {}
    best, layout = standing.best, layout_of(view.job, view.defaults)
    key = layout.round_file(best.round, layout.round_model_name(best.sha256))
    return {
        "best": BestStatus(
            round=best.round,
            metric=best.metric,
            value=best.value,
            uri=f"s3://{location_of(view.job, view.defaults).bucket}/{key}",
            sha256=best.sha256,
            size=best.size,
        )
    }


def _rounded(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 6) for name, value in sorted(metrics.items())[:MOST_METRICS]}


def _metric(metrics: Mapping[str, float]) -> str | None:
    """The most informative metric, for the printer column."""
    names = [name for name in (*_BEST_METRICS, *sorted(metrics)) if name in metrics]
    return f"{names[0]} {metrics[names[0]]:.4g}"[:64] if names else None


def _eta(status: ServerStatus | None, total: int) -> str | None:
    end = None if status is None else status.expected_end(total)
    return None if end is None else rfc3339(end)


def _result(view: JobView, end: Result) -> dict[str, Any]:
    bucket = location_of(view.job, view.defaults).bucket
    layout = layout_of(view.job, view.defaults)
    return {
        "result": ResultStatus(uri=f"s3://{bucket}/{end.key}", sha256=end.sha256, size=end.size),
        "report": f"s3://{bucket}/{layout.model_out}report.html",
    }
