"""What the operator must remember of a job and cannot see: kept in a ConfigMap that the job owns.

The status is for people and never read back; this is. It says what was prepared, so that nothing is
prepared twice, and counts the starts of each pod.
"""

from __future__ import annotations

from pydantic import ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from fedjob.spec.models.base import Model
from fedjob_operator.naming import Body

KEY = "record.json"


class RecordModel(Model):
    """A part of the record; what a newer operator added is ignored."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True
    )


class ShardPlace(RecordModel):
    """Where a worker's shard is."""

    name: str = Field(description="File name.")
    bucket: str
    key: str
    sha256: str | None = Field(None, description="What it must have, where the job says so.")
    https: bool = Field(False, description="Its manifest names images on the web.")


class PreparedImage(RecordModel):
    """The job's image."""

    reference: str
    digest: str
    cache_hit: bool
    seconds: float
    made_from: str = Field(description="Hash of the inputs and of spec.image.")


class Prepared(RecordModel):
    """What the pods need, as far as it is there."""

    made_from: str = Field(description="Hash of the parts of the spec that it follows from.")
    num_classes: int = 0
    workers: list[ShardPlace] = Field(default_factory=list)
    validation: str | None = Field(None, description="Object key in the job's bucket.")
    checkpoint: str | None = Field(None, description="Object key in the job's bucket.")
    workspace: str = Field("", description="Checksum of the job folder, once it is uploaded.")
    image: PreparedImage | None = None


class PodSlot(RecordModel):
    """The starts of the server or of one worker.

    Attributes:
        ordinal: Of the pod that is there or comes next.
        seen: That pod has been created: if it is gone, it was lost.
        restarts: Starts that replaced a lost pod, and restarts within those pods.
        in_place: Restarts within the pod of `ordinal`.
        excused: Further ones, which are not counted against maxRestarts.
        streak: Losses in a row of pods that did not live long.
        lost_at: When the last was lost, seconds since the epoch.
        going: Why the pod of `ordinal` is being deleted, once it is.
        causes: Restarts by cause; their sum is `total`.
        born: When the pod of `ordinal` was created.
        at_commit: Of the server: its restarts when it last committed a round.
        commit_attempt: Of the server: the attempt of that round.
    """

    ordinal: int = 0
    seen: bool = False
    restarts: int = 0
    in_place: int = 0
    excused: int = 0
    streak: int = 0
    lost_at: float | None = None
    going: str = ""
    causes: dict[str, int] = Field(default_factory=dict)
    born: float | None = None
    at_commit: int = 0
    commit_attempt: int = 0

    @property
    def total(self) -> int:
        """All restarts so far."""
        return self.restarts + self.in_place

    def caused(self, cause: str, times: int = 1) -> dict[str, int]:
        """`causes` with so many restarts more."""
        return {**self.causes, cause: self.causes.get(cause, 0) + times}

    @property
    def hurt(self) -> bool:
        """The pod of `ordinal` replaces one that was lost, or was restarted in place."""
        return self.lost_at is not None or self.in_place > 0


class Failure(RecordModel):
    """Why the job failed; it is tried again once its spec is another."""

    reason: str
    message: str
    spec: str = Field(description="Hash of the spec that failed.")
    time: float
    settled: bool = Field(
        False, description="The log was read after the last server had gone: it is not complete."
    )


class Result(RecordModel):
    """The end of a complete run."""

    round: int
    key: str
    sha256: str
    size: int
    time: float


class Record(RecordModel):
    """All of it."""

    prepared: Prepared | None = None
    server: PodSlot = PodSlot()
    workers: dict[str, PodSlot] = Field(default_factory=dict)
    gpus: bool | None = Field(None, description="Whether the workers got GPUs; None: not decided.")
    started: float | None = None
    failure: Failure | None = None
    result: Result | None = None


def read_record(body: Body | None) -> Record:
    """The record in its ConfigMap; an empty one where there is none or it cannot be read.

    An unreadable record was edited by someone: what it knew is prepared and counted anew.
    """
    text = ((body or {}).get("data") or {}).get(KEY, "")
    try:
        return Record.model_validate_json(text) if text else Record()
    except ValidationError:
        return Record()
