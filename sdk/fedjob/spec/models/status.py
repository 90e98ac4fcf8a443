"""`status`: what the operator reports about a job."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from fedjob.spec.models.base import Model
from fedjob.spec.models.lists import list_map
from fedjob.spec.models.shards import MAX_SHARDS

HISTORY_LENGTH = 20
"""Rounds in a status, of the job and of its server; the log of rounds has all of them."""


MAX_SEALED = 393216
"""Characters of one sealed offer: two of them, a spec and a status fit into what etcd takes."""


class JobState(StrEnum):
    """State of the job in one word; the conditions have the details."""

    PENDING = "Pending"
    UPLOADING = "Uploading"
    BUILDING = "Building"
    STARTING = "Starting"
    TRAINING = "Training"
    RECOVERING = "Recovering"
    SUSPENDED = "Suspended"
    FAILING = "Failing"
    COMPLETE = "Complete"
    FAILED = "Failed"


class ConditionType(StrEnum):
    """The steps of a job, in order, then conditions that may occur at any step."""

    ACCEPTED = "Accepted"
    WORKSPACE_UPLOADED = "WorkspaceUploaded"
    IMAGE_READY = "ImageReady"
    SERVER_READY = "ServerReady"
    WORKERS_READY = "WorkersReady"
    TRAINING = "Training"
    COMPLETE = "Complete"
    FAILED = "Failed"
    SUSPENDED = "Suspended"
    RECOVERING = "Recovering"
    GPU_FALLBACK = "GpuFallback"
    HINTS = "Hints"


class RestartCause(StrEnum):
    """Why the server or a worker was restarted."""

    DELETED = "Deleted"
    EVICTED = "Evicted"
    PREEMPTED = "Preempted"
    NODE_LOST = "NodeLost"
    NODE_RESTARTED = "NodeRestarted"
    FAILED = "Failed"
    KILLED = "Killed"
    TERMINATED = "Terminated"
    OUT_OF_MEMORY = "OutOfMemory"
    EXITED = "Exited"


class StatusModel(Model):
    """A part of the status; ignores fields of a newer operator, so that old clients can read it."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True
    )


Metrics = Annotated[dict[str, float], Field(max_length=64)]


class Condition(StatusModel):
    """A Kubernetes condition (`meta/v1.Condition`)."""

    type: str = Field(min_length=1, max_length=64)
    status: Literal["True", "False", "Unknown"]
    reason: str = Field(min_length=1, max_length=128, description="PascalCase, from the catalogue.")
    message: str = Field("", max_length=4096)
    last_transition_time: str = Field(max_length=64, description="RFC 3339, UTC.")
    observed_generation: int | None = Field(None, ge=0)


class RoundsStatus(StatusModel):
    """Progress of the job."""

    completed: int = Field(0, ge=0, description="The last committed round.")
    total: int = Field(0, ge=0, description="federation.numRounds.")
    display: str | None = Field(None, max_length=16, description="`3/5`, for the printer column.")


class RoundRecord(StatusModel):
    """One committed round."""

    round: int = Field(ge=0)
    clients: int = Field(0, ge=0, description="Clients whose result is in the mean.")
    samples: int = Field(0, ge=0, description="Samples over those clients.")
    metrics: Metrics = Field(default_factory=dict)
    seconds: float = Field(0.0, ge=0)


Causes = Annotated[
    dict[str, int],
    Field(
        max_length=16,
        description="Restarts by cause: Deleted, Evicted, Preempted, NodeLost, NodeRestarted, "
        "Failed (the pod), Killed (SIGKILL), Terminated (SIGTERM), OutOfMemory, Exited.",
    ),
]


class ServerSiteStatus(StatusModel):
    """The server's pod."""

    restarts: int = Field(0, ge=0)
    restart_causes: Causes = Field(default_factory=dict)


class ClientStatus(StatusModel):
    """One worker."""

    name: str = Field(max_length=63)
    shard: str = Field("", max_length=128, description="File name of its shard.")
    state: str = Field("Expected", max_length=32, description="As the server sees it.")
    restarts: int = Field(0, ge=0)
    restart_causes: Causes = Field(default_factory=dict)
    last_heartbeat: str | None = Field(None, max_length=64, description="RFC 3339, UTC.")
    samples: int = Field(0, ge=0, description="Of its last accepted result.")
    message: str = Field("", max_length=1024)


class ClientsStatus(StatusModel):
    """The workers."""

    expected: int = Field(0, ge=0)
    connected: int = Field(0, ge=0)
    display: str | None = Field(None, max_length=16, description="`4/5`, for the printer column.")
    workers: list[ClientStatus] = Field(
        default_factory=list,
        alias="list",
        max_length=MAX_SHARDS,
        description="Every worker.",
        json_schema_extra=list_map("name"),
    )


class ImageStatus(StatusModel):
    """The image that the pods run."""

    reference: str | None = Field(None, max_length=512, description="`repository@sha256:...`.")
    digest: str | None = Field(None, max_length=80)
    cache_hit: bool | None = Field(None, description="True: the image existed already.")
    seconds: float | None = Field(None, ge=0, description="Spent building and pushing.")


class ResultStatus(StatusModel):
    """The final model."""

    uri: str = Field(max_length=1024, description="`s3://bucket/.../model.safetensors`.")
    sha256: str = Field(max_length=64)
    size: int = Field(ge=0, description="Bytes.")


class BestStatus(StatusModel):
    """The best round so far, by the metric of federation.stopWhen or bestModel."""

    round: int = Field(ge=1)
    metric: str = Field(max_length=128)
    value: float = Field(description="Of the metric, in this round.")
    uri: str = Field(max_length=1024, description="`s3://bucket/.../model-....safetensors`.")
    sha256: str = Field(max_length=64)
    size: int = Field(ge=0, description="Bytes.")


class TransferCount(StatusModel):
    """Files and bytes."""

    files: int = Field(0, ge=0)
    bytes: int = Field(0, ge=0)


class UploadStatus(StatusModel):
    """Files that a client uploads, and how it may send them."""

    sealed: str | None = Field(
        None,
        max_length=MAX_SEALED,
        description="Presigned URLs, encrypted for the holder of the annotation "
        "fedjob.dev/transfer-key; absent where nothing is to be sent.",
    )
    sequence: int | None = Field(None, ge=0, description="Grows with every offer of URLs.")
    expires: str | None = Field(None, max_length=64, description="RFC 3339, UTC: of the URLs.")
    done: TransferCount = Field(default_factory=TransferCount, description="Arrived.")
    total: TransferCount = Field(default_factory=TransferCount, description="Expected.")


class ResultsStatus(StatusModel):
    """The answer to the annotation fedjob.dev/results-want."""

    nonce: str = Field(max_length=128, description="The value of the annotation.")
    sealed: str | None = Field(
        None,
        max_length=MAX_SEALED,
        description="Presigned URLs, encrypted for the holder of the annotation "
        "fedjob.dev/transfer-key.",
    )
    expires: str | None = Field(None, max_length=64, description="RFC 3339, UTC: of the URLs.")
    objects: int = Field(0, ge=0, description="Objects that the offer names.")
    omitted: int = Field(0, ge=0, description="Further objects that exist.")
    message: str | None = Field(None, max_length=1024, description="Why nothing is offered.")


class TransferStatus(StatusModel):
    """Uploads and downloads by clients that hold no keys of the store."""

    upload: UploadStatus | None = None
    results: ResultsStatus | None = None


class FederatedJobStatus(StatusModel):
    """Observations and actions of the operator, which never reads its decisions from here."""

    state: JobState | None = Field(None, description="Summary of the conditions.")
    reason: str | None = Field(None, max_length=128, description="Why it failed.")
    message: str | None = Field(None, max_length=4096)
    observed_generation: int | None = Field(None, ge=0)
    attempt: int | None = Field(None, ge=0, description="Server starts so far.")
    conditions: list[Condition] | None = Field(
        None, max_length=16, json_schema_extra=list_map("type")
    )
    rounds: RoundsStatus | None = None
    history: list[RoundRecord] | None = Field(
        None, max_length=HISTORY_LENGTH, description=f"The last {HISTORY_LENGTH} committed rounds."
    )
    server: ServerSiteStatus | None = None
    clients: ClientsStatus | None = None
    image: ImageStatus | None = None
    metric: str | None = Field(
        None, max_length=64, description="`val_accuracy 0.934`, for the printer column."
    )
    metrics: Metrics | None = Field(None, description="Of the last committed round.")
    retries: Annotated[dict[str, int], Field(max_length=32)] | None = Field(
        None, description="Transient faults retried since the server last started, by kind."
    )
    eta: str | None = Field(None, max_length=64, description="RFC 3339, UTC: expected end.")
    start_time: str | None = Field(None, max_length=64, description="RFC 3339, UTC.")
    completion_time: str | None = Field(None, max_length=64, description="RFC 3339, UTC.")
    result: ResultStatus | None = None
    best: BestStatus | None = None
    report: str | None = Field(None, max_length=1024, description="URI of report.html.")
    transfer: TransferStatus | None = Field(
        None, description="Uploads and downloads by clients without keys of the store."
    )
