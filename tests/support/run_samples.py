"""Commits and clients of a run, and what an observer notes about its processes."""

from __future__ import annotations

from typing import Any

from fedjob.protocol.commit import Commit, Participant, RoundTimes
from fedjob.protocol.server_status import ClientState, ClientView


def commit(n: int, attempt: int = 1, seconds: float = 2.0, **metrics: float) -> Commit:
    """A round of two workers; round 0 is the initial model."""
    who = [Participant(name="worker-0", samples=700), Participant(name="worker-1", samples=45)]
    return Commit(
        round=n,
        attempt=attempt,
        sha256="0" * 64,
        size=1,
        participants=who if n else [],
        metrics=metrics,
        times=RoundTimes(total=seconds),
        started="x",
        ended="x",
    )


def client(i: int, state: ClientState = ClientState.TRAINING, **more: Any) -> ClientView:
    """How the server sees worker i."""
    return ClientView(name=f"worker-{i}", shard=f"digits-{i}.zip", state=state, **more)


class Notes:
    """An observer of processes that keeps what it gets."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.restarts: list[tuple[str, int]] = []

    def note(self, message: str, *, warning: bool = False) -> None:
        self.lines.append(message)

    def restarted(self, name: str, restarts: int) -> None:
        self.restarts.append((name, restarts))
