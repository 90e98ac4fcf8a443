"""Everything the plan is made from, as one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from fedjob.protocol.run import ServerStatus
from fedjob.reasons import Reason
from fedjob_operator.naming import Body
from fedjob_operator.state.record import Prepared

ChildKey = tuple[str, str]
"""Kind and name."""


class Stage(StrEnum):
    """What has to be prepared, outside of the plan, before and while a job runs."""

    INPUTS = "inputs"
    WORKSPACE = "workspace"
    IMAGE = "image"
    KITS = "kits"
    URLS = "urls"
    LOG = "log"
    APPLY = "apply"


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a stage is not done.

    Attributes:
        reason: Why, from the catalogue.
        message: What is wrong and what to do.
        retry_at: Seconds since the epoch.
        tries: Failures in a row.
        made_from: Hash of the spec that failed: another spec is tried at once.
    """

    reason: Reason
    message: str
    retry_at: float
    tries: int = 1
    made_from: str = ""


@dataclass(frozen=True, slots=True)
class Kits:
    """A set of startup kits, just made; they then live in Secrets alone.

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
        url: A secret for as long as it lasts.
        key: The object it reads, as `bucket/key`.
        expires: Seconds since the epoch.
    """

    url: str = field(repr=False)
    key: str
    expires: float


@dataclass(frozen=True, slots=True)
class ServerView:
    """What the server of one pod said last.

    Attributes:
        pod: The pod's uid.
        status: Its status.
    """

    pod: str
    status: ServerStatus


@dataclass(frozen=True, slots=True)
class Observations:
    """What the operator found out beside the cluster's objects.

    Attributes:
        prepared: As the stages left it; None before any ran in this process.
        problems: Stages that failed, until they succeed.
        kits: Made, and not yet seen in Secrets.
        urls: Presigned in this process, by worker.
        server: What the server said last.
        stored: What the log of rounds in S3 says, read after a server ended unheard.
        gpus: The most GPUs that any node offers; None where nodes cannot be listed.
        held: Wanted names that something else has, with the time until which that is believed.
        image_checked: When the image was last found or built by this process.
    """

    prepared: Prepared | None = None
    problems: Mapping[Stage, Problem] = field(default_factory=dict)
    kits: Kits | None = None
    urls: Mapping[str, SignedUrl] = field(default_factory=dict)
    server: ServerView | None = None
    stored: ServerStatus | None = None
    gpus: int | None = None
    held: Mapping[ChildKey, float] = field(default_factory=dict)
    image_checked: float = 0.0


@dataclass(frozen=True, slots=True)
class Defaults:
    """The operator's choices where a job makes none.

    Attributes:
        bucket: Of jobs that name none; empty: they must.
        prefix: Put before `jobs/`.
        endpoint: Of the store; None is AWS.
        region: Of the store.
        keys: AWS_* variables for jobs without a secretRef; empty: they need one.
        pull_secrets: Added to those of the job.
        namespace: The operator's own, for NetworkPolicies.
        policies: Whether NetworkPolicies are made.
        open_status: Whether anyone may reach a server's status port (an operator outside).
        url_seconds: How long a presigned URL of a shard lives; it is renewed at half of that, so
            that a worker that starts has as much.
        cpu: CPU request of a pod that asks for nothing.
        memory: Memory request of a pod that asks for nothing.
    """

    bucket: str = ""
    prefix: str = ""
    endpoint: str | None = None
    region: str = "us-east-1"
    keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    pull_secrets: tuple[str, ...] = ()
    namespace: str = "fedjob-system"
    policies: bool = True
    open_status: bool = False
    url_seconds: int = 3600
    cpu: str = "100m"
    memory: str = "512Mi"


@dataclass(frozen=True, slots=True)
class Observed:
    """What was seen at one moment.

    Attributes:
        body: The FederatedJob as the API server has it.
        children: Everything that carries the job's label, ours or not.
        facts: What else is known.
        defaults: The operator's choices.
    """

    body: Body
    children: Mapping[ChildKey, Body] = field(default_factory=dict)
    facts: Observations = field(default_factory=Observations)
    defaults: Defaults = field(default_factory=Defaults)
