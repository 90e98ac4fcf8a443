"""The committed rounds of a run, as results show them: one line each."""

from __future__ import annotations

import math
from collections.abc import Iterable

from pydantic import ConfigDict, Field

from fedjob.protocol.commit import Commit
from fedjob.spec.models.base import Model


class RoundLine(Model):
    """One committed round."""

    round: int = Field(ge=1)
    clients: int = Field(ge=0, description="Workers whose result is in the mean.")
    samples: int = Field(ge=0, description="Over all of them.")
    metrics: dict[str, float | None] = Field(description="Null where the value is not finite.")
    seconds: float = Field(ge=0, description="From the commit before to this one.")


class History(Model):
    """`model_out/history.json`: every committed round, which a status is too small for."""

    model_config = ConfigDict(**{**Model.model_config, "extra": "ignore"})

    rounds: list[RoundLine] = Field(default_factory=list)


def round_lines(commits: Iterable[Commit]) -> list[RoundLine]:
    """The rounds of a log in order, without round 0 (the initial model)."""
    return [
        RoundLine(
            round=commit.round,
            clients=len(commit.participants),
            samples=commit.samples,
            metrics={
                name: value if math.isfinite(value) else None
                for name, value in commit.metrics.items()
            },
            seconds=round(commit.times.total, 3),
        )
        for commit in sorted(commits, key=lambda commit: commit.round)
        if commit.round > 0
    ]


def history_json(commits: Iterable[Commit]) -> str:
    """The text of history.json."""
    return History(rounds=round_lines(commits)).model_dump_json(by_alias=True)
