"""The commit object of a round in the log of rounds."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, FailFast, Field, model_validator

from fedjob.reasons import Reason
from fedjob.spec.models.base import Model
from fedjob.spec.models.stopping import Mode


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: number for name, number in value.items() if number is not None}
    return value


Metrics = Annotated[
    dict[str, Annotated[float, Field(allow_inf_nan=False)]], BeforeValidator(_without_nulls)
]
"""Finite numbers by name. JSON has no NaN: earlier versions wrote null, which is left out."""


class ResultWarning(Model):
    """Something to note about a result that was accepted all the same.

    Workers send a warning as text, `<Reason>: <message>`, and commits of earlier versions hold it
    so; text without a reason of the catalogue is a TrainingWarning.
    """

    reason: str = Field(description="From the catalogue of reasons, such as `WeightsNotLoaded`.")
    message: str

    @model_validator(mode="before")
    @classmethod
    def _read_text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        reason, _, message = value.partition(": ")
        if message and reason in set(Reason):
            return {"reason": reason, "message": message}
        return {"reason": Reason.TRAINING_WARNING.value, "message": value}


class Participant(Model):
    """One worker's accepted result in one round."""

    name: str = Field(description="The worker, such as `worker-0`.")
    samples: int = Field(ge=1, description="Samples it trained on: its weight in FedAvg.")
    metrics: Metrics = Field(default_factory=dict, description="What its training returned.")
    seconds: float = Field(
        0.0, ge=0, description="Seconds from the task's send to its accepted result."
    )
    warnings: Annotated[list[ResultWarning], FailFast()] = Field(
        default_factory=list, description="For example: weights not loaded."
    )


class ClientFailure(Model):
    """A worker whose answer was refused, or that gave none, in one round."""

    name: str
    reason: str = Field(description="From the catalogue of reasons, such as `NonFiniteWeights`.")
    message: str = Field(
        description="What happened, with the tensor, the file and line, and a fix."
    )


class RoundTimes(Model):
    """Where a round's seconds went."""

    train: float = Field(0.0, ge=0, description="First send to last awaited answer.")
    aggregate: float = Field(0.0, ge=0)
    evaluate: float = Field(0.0, ge=0)
    commit: float = Field(0.0, ge=0, description="Model and commit object to S3.")
    total: float = Field(0.0, ge=0, description="Previous commit (or segment start) to this one.")


class StrategyState(Model):
    """What the aggregation strategy keeps from round to round, as a safetensors file."""

    file: str = Field("", description="Its name in rounds/<n>/; the log fills it in.")
    sha256: str = Field(description="Of the file, hex.")
    size: int = Field(ge=0, description="Bytes of the file.")


class BestRound(Model):
    """The committed round whose model is the best so far, by one metric."""

    round: int = Field(ge=1)
    metric: str
    mode: Mode
    value: float = Field(allow_inf_nan=False, description="Of the metric, in this round.")
    sha256: str = Field(description="Of its model file, hex.")
    size: int = Field(ge=0, description="Bytes of its model file.")


class Standing(Model):
    """How the run stands after a round: its best round, and whether it stops.

    Each commit has it, so that a server which starts later needs the last commit only.
    """

    best: BestRound | None = Field(None, description="Absent: no round has had the metric.")
    waited: int = Field(
        0, ge=0, description="Rounds since the best one, or since the run last stopped early."
    )
    stopped: int | None = Field(
        None, ge=1, description="federation.numRounds of a run that ended early with this round."
    )


class Commit(Model):
    """`rounds/<n>/commit.json`: round n is done exactly when this object exists.

    Round 0 is the initial global model: it has no participants.
    """

    round: int = Field(ge=0)
    attempt: int = Field(ge=0, description="The server start that made it.")
    segment: int = Field(0, ge=0, description="The NVFlare job that made it.")
    model_file: str = Field(
        "model.safetensors",
        description="The model's file name in rounds/<n>/; the log puts the SHA-256 into it, so "
        "that two servers never write the same key.",
    )
    sha256: str = Field(description="Of the model file, hex.")
    size: int = Field(ge=0, description="Bytes of the model file.")
    strategy: StrategyState | None = Field(
        None, description="Absent where the strategy keeps nothing, as FedAvg."
    )
    standing: Standing | None = Field(
        None, description="Absent without federation.stopWhen and bestModel."
    )
    participants: Annotated[list[Participant], FailFast()] = Field(default_factory=list)
    failures: Annotated[list[ClientFailure], FailFast()] = Field(default_factory=list)
    metrics: Metrics = Field(
        default_factory=dict,
        description="Sample-weighted means of the participants' metrics; those of the global model "
        "on validation data carry the prefix `val_`.",
    )
    times: RoundTimes = Field(default_factory=RoundTimes)
    started: str = Field(description="RFC 3339, UTC.")
    ended: str = Field(description="RFC 3339, UTC.")

    def as_object(self) -> bytes:
        """The bytes of commit.json. Release 0.1 reads it where what it does not know is absent."""
        absent = {name for name in ("strategy", "standing") if getattr(self, name) is None}
        return self.model_dump_json(by_alias=True, indent=1, exclude=absent).encode()

    @property
    def samples(self) -> int:
        """Samples over all participants."""
        return sum(participant.samples for participant in self.participants)
