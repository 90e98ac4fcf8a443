"""The record of a job: what the operator must remember and cannot observe.

It is kept in a ConfigMap that the job owns, and says what was prepared, so that nothing is prepared
twice, and how often each pod was started. The status is for people; only the record is read back.
Records of running jobs outlive an operator upgrade, so a renamed field still reads its old key.
"""

from __future__ import annotations

from pydantic import AliasChoices, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from fedjob.protocol.standing import rounds_reached
from fedjob.spec.models.base import Model
from fedjob_operator.naming import Body

KEY = "record.json"


class RecordModel(Model):
    """A part of the record; fields that a newer operator added are ignored."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True
    )


class ShardPlace(RecordModel):
    """Where a worker's shard is."""

    name: str = Field(description="File name of the shard.")
    bucket: str
    key: str
    sha256: str | None = Field(None, description="Checksum that the job asks for.")
    https: bool = Field(False, description="Its manifest names https:// images.")


class PreparedImage(RecordModel):
    """The job's image."""

    reference: str
    digest: str
    cache_hit: bool
    seconds: float
    made_from: str = Field(description="Hash of the inputs and of spec.image.")
    supervisor: str = Field("", description="The operator's runtime image then, by digest.")


class Prepared(RecordModel):
    """Results of the stages, as far as they have run."""

    made_from: str = Field(description="Hash of the parts of the spec that this depends on.")
    num_classes: int = 0
    workers: list[ShardPlace] = Field(default_factory=list)
    validation: str | None = Field(None, description="Object key in the job's bucket.")
    checkpoint: str | None = Field(None, description="Object key in the job's bucket.")
    hints: list[str] = Field(
        default_factory=list, description="Probable mistakes that do not stop the job."
    )
    workspace: str = Field("", description="Checksum of the job folder, once it is uploaded.")
    image: PreparedImage | None = None


class PodSlot(RecordModel):
    """The place of the server or of one worker, which one pod after another fills.

    Attributes:
        ordinal: Number of the current or next pod, from 0.
        seen: Whether that pod has been created; if it then disappears, it was lost.
        restarts: Replacements of lost pods, and restarts of containers within those pods.
        in_place: Restarts of the container within the current pod.
        excused: Further restarts within it, which do not count against maxRestarts.
        streak: Lost pods in a row, each of which did not live long.
        lost_at: When the last pod was lost, seconds since the epoch.
        disruption: Cause for which the current pod is being deleted; empty until it is.
        causes: Restarts by cause; their sum is `total`.
        born: When the current pod was created, seconds since the epoch.
        at_commit: Restarts of the server when it last committed a round.
        commit_attempt: Attempt of the server in which that round was committed.
    """

    ordinal: int = 0
    seen: bool = False
    restarts: int = 0
    in_place: int = 0
    excused: int = 0
    streak: int = 0
    lost_at: float | None = None
    disruption: str = Field(
        "",
        validation_alias=AliasChoices("disruption", "going"),
        serialization_alias="disruption",
    )
    causes: dict[str, int] = Field(default_factory=dict)
    born: float | None = None
    at_commit: int = 0
    commit_attempt: int = 0

    @property
    def total(self) -> int:
        """All restarts so far."""
        return self.restarts + self.in_place

    def caused(self, cause: str, times: int = 1) -> dict[str, int]:
        """`causes` with `times` more restarts of a cause."""
        return {**self.causes, cause: self.causes.get(cause, 0) + times}

    @property
    def restarted(self) -> bool:
        """Whether the current pod replaces a lost one, or its container was restarted."""
        return self.lost_at is not None or self.in_place > 0


class Failure(RecordModel):
    """Why the job failed; another spec starts it again."""

    reason: str
    message: str
    spec: str = Field(description="Hash of the spec that failed.")
    time: float
    settled: bool = Field(
        False, description="Whether the log of rounds was read after the last server had ended."
    )


class Result(RecordModel):
    """The result of a complete run."""

    round: int
    key: str
    sha256: str
    size: int
    time: float
    stopped: int | None = Field(
        None, description="numRounds of a run that stopped early, at `round`."
    )

    @property
    def reached(self) -> int:
        """The numRounds that the run has satisfied."""
        return rounds_reached(self.round, self.stopped)


class Record(RecordModel):
    """The whole record of a job."""

    prepared: Prepared | None = None
    server: PodSlot = PodSlot()
    workers: dict[str, PodSlot] = Field(default_factory=dict)
    gpus: bool | None = Field(None, description="Whether workers get GPUs; None: not decided yet.")
    started: float | None = None
    failure: Failure | None = None
    result: Result | None = None


def read_record(body: Body | None) -> Record:
    """The record in its ConfigMap; an empty one where there is none or it cannot be read.

    A record that cannot be read was edited by hand: the job is prepared again, and counts restart.
    """
    text = ((body or {}).get("data") or {}).get(KEY, "")
    try:
        return Record.model_validate_json(text) if text else Record()
    except ValidationError:
        return Record()
