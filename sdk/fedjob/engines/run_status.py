"""The status of a run as every engine gives it: one typed value, whatever the run is on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal

from pydantic import Field

from fedjob.engines.result import BestModelFile, ModelFile, RoundLine
from fedjob.metric_text import in_order, number
from fedjob.spec.models.base import Model
from fedjob.spec.models.job import FederatedJob
from fedjob.spec.models.status import BestStatus, FederatedJobStatus, JobState, RoundRecord


class ClientInfo(Model):
    """One worker of a run."""

    name: str = Field(description="Such as `worker-0`.")
    shard: str = Field("", description="File name of its shard.")
    state: str = Field(
        "Expected",
        description="As the server sees it: Expected, Connected, Training, Answered, Failed, Lost.",
    )
    restarts: int = Field(0, ge=0)
    restart_causes: dict[str, int] = Field(
        default_factory=dict, description="Restarts by cause, where the engine knows it."
    )
    last_heartbeat: datetime | None = Field(None, description="In UTC.")
    samples: int = Field(0, ge=0, description="Of its last accepted result.")
    message: str = Field("", description="Why it failed or is absent, if it is.")


class RunEvent(Model):
    """Something that happened to a run, for a person to read."""

    time: datetime = Field(description="In UTC; of the last time, where it happened repeatedly.")
    type: Literal["Normal", "Warning"] = "Normal"
    reason: str = Field(description="One word, such as `RoundCompleted`.")
    message: str
    about: str = Field("", description="The pod or process; empty: the job itself.")
    count: int = Field(1, ge=1, description="How often it happened.")


class RunStatus(Model):
    """A run at one moment."""

    name: str
    namespace: str = "default"
    state: JobState = Field(description="In one word.")
    reason: str = Field("", description="From the catalogue of reasons, when it failed.")
    message: str = Field("", description="What it does or waits for, or why it failed.")
    attempt: int = Field(0, ge=0, description="Server starts so far.")
    completed: int = Field(0, ge=0, description="The last committed round.")
    total: int = Field(0, ge=0, description="Rounds to run.")
    current: int | None = Field(None, description="The round under way, where it is known.")
    connected: int = Field(0, ge=0, description="Workers connected to the server.")
    expected: int = Field(0, ge=0, description="Workers of the run.")
    clients: list[ClientInfo] = Field(default_factory=list, description="Every worker.")
    metrics: dict[str, float | None] = Field(
        default_factory=dict,
        description="Of the last committed round; null where a value is not finite.",
    )
    history: list[RoundLine] = Field(
        default_factory=list, description="The last 20 committed rounds, in order."
    )
    retries: dict[str, int] = Field(
        default_factory=dict, description="Transient faults that were retried, by kind."
    )
    eta: datetime | None = Field(None, description="Expected end, in UTC, while it trains.")
    start_time: datetime | None = Field(None, description="In UTC.")
    completion_time: datetime | None = Field(None, description="In UTC.")
    result: ModelFile | None = Field(None, description="The final model, once there is one.")
    best: BestModelFile | None = Field(
        None, description="The best round so far, where the job compares rounds."
    )
    report: str | None = Field(None, description="Where report.html is: file:// or s3://.")

    @property
    def ended(self) -> bool:
        """Whether the run has ended for good: complete or failed."""
        return self.state in (JobState.COMPLETE, JobState.FAILED)

    @property
    def rounds_text(self) -> str:
        """`3/5`."""
        return f"{self.completed}/{self.total}"

    @property
    def clients_text(self) -> str:
        """`4/5`: connected of expected."""
        return f"{self.connected}/{self.expected}"

    @property
    def metric_text(self) -> str:
        """The most informative metric of the last round, `val_accuracy 0.934`; empty without."""
        names = in_order(self.metrics, 1)
        return f"{names[0]} {number(self.metrics[names[0]])}" if names else ""

    @property
    def best_text(self) -> str:
        """`round 4, val_loss 0.21`; empty without a best round."""
        return self.best.text if self.best is not None else ""

    @property
    def summary(self) -> str:
        """One line: state, rounds, clients, metric, and the message."""
        parts = [str(self.state), f"round {self.rounds_text}", f"clients {self.clients_text}"]
        if self.metric_text:
            parts.append(self.metric_text)
        text = ", ".join(parts)
        why = f"{self.reason}: {self.message}" if self.reason and self.message else self.message
        return f"{text}: {why}" if why else text


def status_of_job(job: FederatedJob) -> RunStatus:
    """The status of a job in a cluster, as its operator reports it.

    A job that no operator has seen yet is Pending.
    """
    meta, total = job.metadata, job.spec.federation.num_rounds
    return status_from(meta.name, meta.namespace, total, job.status)


def status_from(
    name: str, namespace: str, total: int, status: FederatedJobStatus | None
) -> RunStatus:
    """The status of a job in a cluster, whose spec need not be readable here.

    Args:
        name: Of the job.
        namespace: Of the job.
        total: federation.numRounds.
        status: As its operator reports it; None where no operator has seen the job yet.
    """
    if status is None:
        return RunStatus(name=name, namespace=namespace, state=JobState.PENDING, total=total)
    rounds, clients = status.rounds, status.clients
    found = status.result
    return RunStatus(
        name=name,
        namespace=namespace,
        state=status.state or JobState.PENDING,
        reason=status.reason or "",
        message=status.message or "",
        attempt=status.attempt or 0,
        completed=rounds.completed if rounds else 0,
        total=(rounds.total if rounds else 0) or total,
        connected=clients.connected if clients else 0,
        expected=clients.expected if clients else 0,
        clients=[
            ClientInfo.model_validate(client.model_dump())
            for client in (clients.workers if clients else ())
        ],
        metrics=dict(status.metrics or {}),
        history=_lines(status.history or ()),
        retries=status.retries or {},
        eta=_time(status.eta),
        start_time=_time(status.start_time),
        completion_time=_time(status.completion_time),
        result=ModelFile(uri=found.uri, sha256=found.sha256, size=found.size) if found else None,
        best=_best(status.best),
        report=status.report,
    )


def _best(found: BestStatus | None) -> BestModelFile | None:
    return None if found is None else BestModelFile.model_validate(found.model_dump())


def _lines(records: Iterable[RoundRecord]) -> list[RoundLine]:
    """Without round 0, the initial model."""
    return [
        RoundLine(
            round=record.round,
            clients=record.clients,
            samples=record.samples,
            metrics=_widened(record.metrics),
            seconds=record.seconds,
        )
        for record in records
        if record.round > 0
    ]


def _widened(metrics: Mapping[str, float]) -> dict[str, float | None]:
    return dict(metrics)


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
