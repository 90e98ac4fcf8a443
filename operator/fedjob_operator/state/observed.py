"""The input of the plan, as one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from fedjob.protocol.server_status import ServerStatus
from fedjob.reasons import Reason
from fedjob_operator.naming import Body
from fedjob_operator.state.record import Prepared
from fedjob_operator.state.transfers import Results, Uploads

ChildKey = tuple[str, str]
"""Kind and name."""


class Stage(StrEnum):
    """What is prepared in the background, before and while a job runs."""

    UPLOADS = "uploads"
    INPUTS = "inputs"
    WORKSPACE = "workspace"
    IMAGE = "image"
    KITS = "kits"
    URLS = "urls"
    LOG = "log"
    RESULTS = "results"
    APPLY = "apply"


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a stage is not done.

    Attributes:
        reason: Why it failed.
        message: What is wrong and what to do.
        retry_at: Seconds since the epoch.
        tries: Failures in a row.
        made_from: Hash of the spec that failed; another spec is tried at once.
    """

    reason: Reason
    message: str
    retry_at: float
    tries: int = 1
    made_from: str = ""


@dataclass(frozen=True, slots=True)
class Kits:
    """A new set of startup kits; once written, they live in Secrets only.

    Attributes:
        name: The set's name.
        files: File name to bytes, by site.
    """

    name: str
    files: Mapping[str, Mapping[str, bytes]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class SignedUrl:
    """A presigned GET of one shard.

    Attributes:
        url: Secret until it expires.
        key: The object it reads, as `bucket/key`.
        expires: Seconds since the epoch.
        forms: Presigned forms for what the worker keeps in the store: JSON by file name.
        last_log: The last pod of the slot that has a form for its log; -1: none has.
        last_files: The last round that has a form for its files; 0: none has.
    """

    url: str = field(repr=False)
    key: str
    expires: float
    forms: Mapping[str, str] = field(default_factory=dict, repr=False)
    last_log: int = -1
    last_files: int = 0


@dataclass(frozen=True, slots=True)
class ServerView:
    """The last status of the server in one pod.

    Attributes:
        pod: The pod's uid.
        status: Its status.
    """

    pod: str
    status: ServerStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Observations:
    """What the operator knows beside the cluster's objects.

    Attributes:
        prepared: Results of the stages; None before any ran in this process.
        problems: Stages that failed, until they succeed.
        kits: Startup kits that are not in Secrets yet.
        urls: URLs that were presigned in this process, by worker.
        server: The last status of the server.
        log_status: The status that the log of rounds in S3 implies, read after a server ended
            before its last status was received.
        gpus: The most GPUs that any node offers; None where nodes cannot be listed.
        name_conflicts: Names that the job needs and another owner has, with the time until which
            the operator relies on that.
        image_checked: When this process last found or built the image.
        uploads: What has arrived of a client's uploads; None before the store was looked at.
        results: The last answer to a request for results; None where this process gave none.
    """

    prepared: Prepared | None = None
    problems: Mapping[Stage, Problem] = field(default_factory=dict)
    kits: Kits | None = None
    urls: Mapping[str, SignedUrl] = field(default_factory=dict)
    server: ServerView | None = None
    log_status: ServerStatus | None = None
    gpus: int | None = None
    name_conflicts: Mapping[ChildKey, float] = field(default_factory=dict)
    image_checked: float = 0.0
    uploads: Uploads | None = None
    results: Results | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """The operator's settings for jobs that choose nothing themselves.

    Attributes:
        bucket: Bucket of jobs that name none; empty: each job must name one.
        prefix: Key prefix before `jobs/`.
        endpoint: URL of the store; None is AWS.
        region: Region of the store.
        store_pod_port: Port of the pods behind the store's Service; None: the URL's.
        keys: AWS_* variables for jobs without a secretRef; empty: each job needs a secretRef.
        shared: `s3://bucket/prefix/` that jobs of every namespace may read with those keys.
        allowed_endpoints: URLs of stores that a job with a secretRef may name, beside the
            operator's own; `*` allows all.
        runtime_image: The image of the servers' supervisors; empty: the job's own, which only jobs
            with a secretRef may use.
        pull_secrets: Pull Secrets, added to those of the job.
        pull_login: Docker config JSON with which nodes pull from the operator's registry; empty:
            none is needed.
        namespace: The operator's namespace, for NetworkPolicies.
        policies: Whether NetworkPolicies are created.
        open_status: Whether any address may reach a server's status port (for an operator outside
            the cluster).
        url_seconds: Lifetime of a shard's presigned URL; it is renewed at half of that, so that a
            worker that starts has at least the other half.
        cpu: CPU request of a pod that asks for nothing.
        memory: Memory request of a pod that asks for nothing.
        memory_limit: Memory limit of a pod whose spec has none; its request, where that is larger.
        supervisor_cpu: CPU request of a server's supervisor: a process without torch, which sends
            models piece by piece.
        supervisor_memory: Its memory request.
        supervisor_memory_limit: Its memory limit; its request, where that is larger.
        work_size: Size limit of a pod's writable folder.
        ttl: Seconds after its end in which a job without a ttl is deleted; None: never.
    """

    bucket: str = ""
    prefix: str = ""
    endpoint: str | None = None
    region: str = "us-east-1"
    store_pod_port: int | None = None
    keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    shared: tuple[str, ...] = ()
    allowed_endpoints: tuple[str, ...] = ()
    runtime_image: str = ""
    pull_secrets: tuple[str, ...] = ()
    pull_login: str = field(default="", repr=False)
    namespace: str = "fedjob-system"
    policies: bool = True
    open_status: bool = False
    url_seconds: int = 3600
    cpu: str = "100m"
    memory: str = "512Mi"
    memory_limit: str = "32Gi"
    supervisor_cpu: str = "50m"
    supervisor_memory: str = "128Mi"
    supervisor_memory_limit: str = "1Gi"
    work_size: str = "100Gi"
    ttl: int | None = None


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that is known about a job at one moment.

    Attributes:
        body: The FederatedJob as the API server has it.
        children: Every object with the job's label, whoever owns it.
        observations: What is known beside objects.
        defaults: The operator's settings for jobs.
    """

    body: Body
    children: Mapping[ChildKey, Body] = field(default_factory=dict)
    observations: Observations = field(default_factory=Observations)
    defaults: Defaults = field(default_factory=Defaults)
