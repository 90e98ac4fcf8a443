"""How an engine starts the server and the workers, and what the server tells about the run.

`ServerConfig` and `WorkerConfig` are the files given to `fedjob-server --config` and
`fedjob-worker --config`; `ServerStatus` is what the server answers on `/status`. The local engine
and the operator write the first two and read the third; nothing else passes between them.
Credentials of the store are in the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), never in
a file.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from fedjob.protocol.commit import ClientFailure, Commit
from fedjob.spec.models.base import Model
from fedjob.spec.models.job import FederatedJobSpec

ENV_FORK_SERVER = "FEDJOB_FORGE"
"""In the environment of a server or worker: the fork server that it shares with other sites.

A name for `fedjob_runtime.processes.fork_server`; a site that is given none starts one of its own.
"""


class StoreLocation(Model):
    """Where the job's objects are: an S3 endpoint, a bucket and a prefix within it."""

    endpoint: str | None = Field(None, description="http(s) URL; None is AWS.")
    region: str = "us-east-1"
    bucket: str
    prefix: str = Field("", description="Put before `jobs/<namespace>/<name>/`; no leading slash.")


class WorkerShard(Model):
    """A worker and the shard that is its own."""

    name: str = Field(description="`worker-<i>`, i by the shards' file name sort.")
    shard: str = Field(description="The shard's file name.")


class ServerConfig(Model):
    """What `fedjob-server` needs to know.

    Paths are absolute. `home` is the only place it writes to.
    """

    namespace: str
    name: str
    spec: FederatedJobSpec
    num_classes: int = Field(ge=0, description="As given, or inferred over all shards.")
    workers: list[WorkerShard] = Field(min_length=1)
    store: StoreLocation
    job_folder: str = Field(description="The generated job folder (app/, meta.json).")
    kit: str = Field(description="fed_server.json, rootCA.pem, server.crt, server.key.")
    admin_kit: str = Field(description="fed_admin.json, rootCA.pem, client.crt, client.key.")
    home: str
    http_host: str = "127.0.0.1"
    http_port: int = Field(8080, ge=0, le=65535)
    checkpoint: str | None = Field(None, description="Object key of the initial weights, if any.")
    validation_shard: str | None = Field(
        None, description="Object key of the validation ZIP, if any."
    )
    device: Literal["cpu", "cuda"] = "cpu"


class WorkerConfig(Model):
    """What `fedjob-worker` needs to know.

    Paths are absolute. `home` is the only place it writes to; the shard is unpacked to
    `home/shard`.
    """

    namespace: str
    name: str
    worker: str
    shard: str = Field(description="The shard's file name.")
    sha256: str | None = Field(None, description="What the shard must have, where the job says so.")
    shard_url_file: str = Field(
        description="A file that holds the presigned GET URL; read anew at each try, so that it "
        "can be renewed."
    )
    manifest_file: str = "manifest.ndjson"
    job_folder: str
    kit: str = Field(description="fed_client.json, rootCA.pem, client.crt, client.key.")
    home: str
    device: Literal["auto", "cpu", "cuda"] = "auto"


class RunPhase(StrEnum):
    """Where the server is."""

    STARTING = "Starting"
    WAITING = "WaitingForClients"
    TRAINING = "Training"
    FINISHING = "Finishing"
    COMPLETE = "Complete"
    FAILED = "Failed"


class ClientState(StrEnum):
    """What a worker is doing, as the server sees it."""

    EXPECTED = "Expected"
    CONNECTED = "Connected"
    TRAINING = "Training"
    ANSWERED = "Answered"
    FAILED = "Failed"
    LOST = "Lost"


class ClientView(Model):
    """One worker as the server sees it."""

    name: str
    shard: str
    state: ClientState = ClientState.EXPECTED
    restarts: int = Field(0, ge=0, description="Times it registered anew after a loss.")
    last_heartbeat: float | None = Field(None, description="Seconds since the epoch.")
    samples: int = Field(0, ge=0, description="Of its last accepted result.")
    message: str = Field("", description="Why it failed, when it did.")


class RunEvent(Model):
    """Something a person may want to read later."""

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
    clients: list[ClientView] = Field(default_factory=list)
    history: list[Commit] = Field(default_factory=list, description="The last 20 committed rounds.")
    failures: list[ClientFailure] = Field(default_factory=list, description="Of the current round.")
    retries: dict[str, int] = Field(
        default_factory=dict, description="Transient faults of this start, by kind."
    )
    events: list[RunEvent] = Field(default_factory=list, description="The last 100.")
    result_key: str | None = Field(None, description="Object key of the final model.")
    result_sha256: str | None = None
