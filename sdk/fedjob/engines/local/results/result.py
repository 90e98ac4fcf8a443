"""result.json: what a run came to, as scripts read it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

from pydantic import Field, ValidationError

from fedjob.atomic_files import write_text
from fedjob.protocol.commit import Commit
from fedjob.spec.models.base import Model


class RunState(StrEnum):
    """How a run ended."""

    COMPLETE = "Complete"
    FAILED = "Failed"


class RoundLine(Model):
    """One committed round."""

    round: int = Field(ge=1)
    clients: int = Field(ge=0, description="Workers whose result is in the mean.")
    samples: int = Field(ge=0, description="Over all of them.")
    metrics: dict[str, float | None] = Field(description="Null where the value is not finite.")
    seconds: float = Field(ge=0, description="From the commit before to this one.")


class ModelFile(Model):
    """The final global model."""

    uri: str | None = Field(None, description="Where it is: file:// or s3://.")
    sha256: str
    size: int = Field(ge=0, description="Bytes.")


class RunResult(Model):
    """result.json."""

    name: str
    namespace: str
    state: RunState
    reason: str = Field("", description="From the catalogue of reasons, when the state is Failed.")
    message: str = ""
    rounds: list[RoundLine] = Field(default_factory=list)
    model: ModelFile | None = None
    num_classes: int = Field(0, ge=0, description="As given, or inferred over all shards.")
    restarts: dict[str, int] = Field(default_factory=dict, description="By process.")
    seconds: float = Field(0.0, ge=0, description="Of this call, from its start to its end.")

    def write(self, path: Path) -> None:
        """Replace `path` by this result in one step."""
        write_text(path, self.text() + "\n")

    def text(self) -> str:
        """The JSON text, indented."""
        return self.model_dump_json(by_alias=True, indent=2)


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


def read_result(path: Path) -> RunResult | None:
    """The result in a file; None when there is none, or it is not one of ours."""
    try:
        return RunResult.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
