"""The answer of a server to `GET /status`: the only way in which an engine learns of the run."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import FailFast, Field

from fedjob.formats import epoch
from fedjob.protocol.commit import ClientFailure, Commit
from fedjob.spec.models.base import Model
from fedjob.spec.models.status import HISTORY_LENGTH

ETA_ROUNDS = 5
"""Rounds whose mean duration the expected end is computed from."""


class RunPhase(StrEnum):
    """Phase of the server, in this order; the last two are final."""

    STARTING = "Starting"
    WAITING = "WaitingForClients"
    TRAINING = "Training"
    FINISHING = "Finishing"
    COMPLETE = "Complete"
    FAILED = "Failed"


class ClientState(StrEnum):
    """State of a worker, as the server sees it."""

    EXPECTED = "Expected"
    CONNECTED = "Connected"
    TRAINING = "Training"
    ANSWERED = "Answered"
    FAILED = "Failed"
    LOST = "Lost"


class ClientView(Model):
    """A worker, as the server sees it."""

    name: str
    shard: str
    state: ClientState = ClientState.EXPECTED
    restarts: int = Field(0, ge=0, description="Times it registered again after a loss.")
    last_heartbeat: float | None = Field(None, description="Seconds since the epoch.")
    samples: int = Field(0, ge=0, description="Of its last accepted result.")
    message: str = Field("", description="Why it failed, if it did.")


class RunEvent(Model):
    """An event of the run, kept for a person to read."""

    time: float = Field(description="Seconds since the epoch.")
    type: Literal["Normal", "Warning"] = "Normal"
    reason: str
    message: str


class ServerStatus(Model):
    """`GET /status[?since=SEQUENCE&wait=SECONDS]`: waits until `sequence` is above SEQUENCE."""

    sequence: int = Field(0, ge=0, description="Grows with every change.")
    attempt: int = Field(0, ge=0)
    phase: RunPhase = RunPhase.STARTING
    reason: str = Field("", description="From the catalogue, when the phase is Failed.")
    message: str = ""
    completed: int = Field(0, ge=0, description="The last committed round.")
    total: int = Field(0, ge=0)
    current: int | None = Field(None, description="The round under way, 1..total.")
    segments: int = Field(0, ge=0, description="NVFlare jobs submitted by this attempt.")
    clients: Annotated[list[ClientView], FailFast()] = Field(default_factory=list)
    history: Annotated[list[Commit], FailFast()] = Field(
        default_factory=list, description=f"The last {HISTORY_LENGTH} committed rounds."
    )
    failures: Annotated[list[ClientFailure], FailFast()] = Field(
        default_factory=list, description="Of the current round."
    )
    retries: dict[str, int] = Field(
        default_factory=dict, description="Transient faults of this start, by kind."
    )
    events: Annotated[list[RunEvent], FailFast()] = Field(
        default_factory=list, description="The last 100."
    )
    result_key: str | None = Field(None, description="Object key of the final model.")
    result_sha256: str | None = None

    @property
    def connected(self) -> set[str]:
        """The workers that are connected."""
        there = (ClientState.CONNECTED, ClientState.TRAINING, ClientState.ANSWERED)
        return {client.name for client in self.clients if client.state in there}

    def expected_end(self, total: int) -> float | None:
        """Seconds since the epoch: the last commit, plus the rounds left at the recent pace.

        It changes with commits only. None before the first commit and after the last one.
        """
        if self.phase is not RunPhase.TRAINING or not self.history or self.completed >= total:
            return None
        last = epoch(self.history[-1].ended)
        if last is None:
            return None
        paces = [commit.times.total for commit in self.history[-ETA_ROUNDS:]]
        return last + (total - self.completed) * sum(paces) / len(paces)
