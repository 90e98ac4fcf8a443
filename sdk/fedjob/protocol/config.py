"""The files with which an engine starts a server and its workers.

`ServerConfig` is given to `fedjob-server --config` and to `fedjob-server-agent --config`,
`WorkerConfig` to `fedjob-worker --config`; the local engine and the operator write both.
Credentials of the store are never in a file: `fedjob-server` alone gets them, in its environment
(AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY) or by a file descriptor.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fedjob.spec.models.base import Model
from fedjob.spec.models.job import FederatedJobSpec

ENV_FORK_SERVER = "FEDJOB_FORGE"
"""Environment variable of a server or worker: the fork server that it shares with other sites.

A name for `fedjob_runtime.processes.fork_server`; without it a site starts a fork server of its
own.
"""


class StoreLocation(Model):
    """Where the job's objects are: an S3 endpoint, a bucket and a prefix within it."""

    endpoint: str | None = Field(None, description="http(s) URL; None is AWS.")
    region: str = "us-east-1"
    bucket: str
    prefix: str = Field("", description="Put before `jobs/<namespace>/<name>/`; no leading slash.")


class WorkerShard(Model):
    """A worker and the shard that it trains on."""

    name: str = Field(description="`worker-<i>`, i by the shards' file name sort.")
    shard: str = Field(description="The shard's file name.")


class ServerConfig(Model):
    """The configuration of `fedjob-server`.

    Paths are absolute. `home` is the only folder that it writes to.
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


class KeptFiles(Model):
    """Where a worker keeps what its training function leaves: a folder, or presigned forms."""

    max_bytes: int = Field(ge=1, description="Bytes of one round.")
    folder: str | None = Field(None, description="Gets round-<n>/.")
    forms: str | None = Field(None, description="Holds a form files-<n>.json for each round.")


class WorkerConfig(Model):
    """The configuration of `fedjob-worker`.

    Paths are absolute. `home` is the only folder that it writes to; the shard is unpacked to
    `home/shard`.
    """

    namespace: str
    name: str
    worker: str
    shard: str = Field(description="The shard's file name.")
    sha256: str | None = Field(None, description="Expected checksum, if the job gives one.")
    shard_url_file: str = Field(
        description="A file that holds the presigned GET URL; read at every try, since the URL is "
        "renewed."
    )
    manifest_file: str = "manifest.ndjson"
    job_folder: str
    kit: str = Field(description="fed_client.json, rootCA.pem, client.crt, client.key.")
    home: str
    device: Literal["auto", "cpu", "cuda"] = "auto"
    keep_files: KeptFiles | None = Field(None, description="None: nothing is kept.")
