"""The operator's settings, from environment variables that begin with FEDJOB_."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from fedjob.errors import Fault, InvalidInputError
from fedjob.protocol.transfer import Tunnel
from fedjob.spec.models.base import Model
from fedjob.spec.models.fields import QUANTITY
from fedjob.storage.bucket import LONGEST_PRESIGN
from fedjob_operator.resources.pod_contract import STORE_KEYS
from fedjob_operator.state.observed import Defaults


class Settings(Model):
    """Each field is FEDJOB_<FIELD> in the environment; lists are separated by commas.

    The keys of the default store are AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, where they are
    temporary, AWS_SESSION_TOKEN.
    """

    namespaces: list[str] = Field(
        default_factory=list, description="Namespaces to serve; none: the whole cluster."
    )
    namespace: str = Field("fedjob-system", description="The operator's namespace.")
    pod_name: str = Field(
        "fedjob-operator", description="Identity in the lease, unique among running operators."
    )
    lease: bool = Field(True, description="Whether only the operator that holds the lease acts.")
    lease_name: str = Field(
        "fedjob-operator", description="Name of the Lease that operators compete for."
    )
    store_bucket: str = Field("", description="Bucket of jobs that name none.")
    store_prefix: str = Field("", description="Put before `jobs/`.")
    store_endpoint: str | None = Field(None, description="http(s) URL; none is AWS.")
    store_pod_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="Port of the pods behind the store's Service, where it differs from the URL's.",
    )
    store_region: str = "us-east-1"
    store_external_endpoint: str | None = Field(
        None,
        description="URL under which the operator reaches the default store, where it differs from "
        "the pods': for an operator outside the cluster.",
    )
    store_shared: list[str] = Field(
        default_factory=list,
        description="`s3://bucket/prefix/` that jobs of every namespace may read with the "
        "operator's keys.",
    )
    store_allowed_endpoints: list[str] = Field(
        default_factory=list,
        description="URLs of stores that jobs with keys of their own may name, beside the "
        "operator's own; `*` allows all.",
    )
    store_client_endpoint: str | None = Field(
        None,
        description="URL under which clients without keys reach the default store, where it "
        "differs from the pods'.",
    )
    store_tunnel: str = Field(
        "",
        pattern=r"^([a-z0-9.-]+/[a-z0-9.-]+:[0-9]{1,5})?$",
        description="namespace/pod:port to which such clients forward a port; none: they reach the "
        "URL itself.",
    )
    upload_max_file_bytes: int = Field(
        100 * 1024**3, ge=1, description="Bytes of the largest file that a client may upload."
    )
    upload_max_bytes: int = Field(
        1024**4, ge=1, description="Bytes of all files that a client may upload for one job."
    )
    upload_days: float = Field(
        7.0, gt=0, le=365, description="Days after its creation in which a job is uploaded to."
    )
    base_image: str = Field(
        "",
        description="Runtime image of jobs that name none, and of every server's supervisor; by "
        "digest where its registry is not trusted.",
    )
    repository: str = Field("", description="Repository of jobs' images, without a tag.")
    registry_insecure: bool = Field(False, description="Whether the registry uses plain HTTP.")
    base_insecure: bool | None = Field(
        None, description="Whether the base image's registry uses plain HTTP, where it is another."
    )
    registry_ca: str = Field("", description="File with CA certificates of the registry.")
    registry_config: str = Field("", description="Docker config file for push and pull.")
    allowed_registries: list[str] = Field(
        default_factory=list,
        description="Hosts, with ports, of registries that jobs may name and registries may send "
        "to, beside those of the base image and the repository; `*` allows all for jobs.",
    )
    share_pull_credentials: bool = Field(
        False,
        description="Whether each running job gets the credentials of `repository`'s registry as a "
        "pull Secret: for a registry that the chart brings.",
    )
    kits_folder: str = Field(
        "", description="Folder in which startup kits are made: one in memory; none: TMPDIR."
    )
    pull_secrets: list[str] = Field(
        default_factory=list, description="Names of pull Secrets, in each job's namespace."
    )
    network_policies: bool = True
    url_seconds: int = Field(
        LONGEST_PRESIGN,
        ge=60,
        le=LONGEST_PRESIGN,
        description="Lifetime of a worker's presigned URL; it is renewed at half of that.",
    )
    poll: Literal["direct", "proxy"] = Field(
        "direct", description="How servers are reached: `proxy` goes through the API server."
    )
    resync_seconds: float = Field(
        300.0, ge=5, description="Seconds between two comparisons of the cache with the cluster."
    )
    http_port: int = Field(8080, ge=0, le=65535, description="/healthz, /readyz, /metrics.")
    workers: int = Field(
        16, ge=1, le=256, description="Number of jobs that are reconciled at once."
    )
    default_cpu: str = "100m"
    default_memory: str = "512Mi"
    default_memory_limit: str = Field(
        "32Gi",
        pattern=QUANTITY,
        description="Memory limit of a pod whose spec has none; its request, where that is larger.",
    )
    supervisor_cpu: str = Field(
        "50m", pattern=QUANTITY, description="CPU request of each server's supervisor."
    )
    supervisor_memory: str = Field(
        "128Mi", pattern=QUANTITY, description="Memory request of each server's supervisor."
    )
    supervisor_memory_limit: str = Field(
        "1Gi",
        pattern=QUANTITY,
        description="Memory limit of each server's supervisor; its request, where that is larger.",
    )
    work_size_limit: str = Field(
        "100Gi",
        pattern=QUANTITY,
        description="Size of a pod's only writable folder: its unpacked shard and its files.",
    )
    default_ttl_seconds: int = Field(
        7 * 86400,
        ge=-1,
        description="spec.runPolicy.ttlSecondsAfterFinished of jobs that have none; -1: such jobs "
        "stay until they are deleted.",
    )
    cluster_id: str = Field(
        "",
        max_length=63,
        pattern=r"^[A-Za-z0-9._-]*$",
        description="Marks what this cluster's jobs own in the store; none: the uid of the "
        "namespace kube-system.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    def tunnel(self) -> Tunnel | None:
        """The pod to which clients forward a port to reach the default store."""
        if not self.store_tunnel:
            return None
        namespace, _, rest = self.store_tunnel.partition("/")
        pod, _, port = rest.rpartition(":")
        return Tunnel(namespace=namespace, pod=pod, port=int(port))

    def defaults(self, environment: Mapping[str, str]) -> Defaults:
        """The settings for jobs that choose nothing themselves."""
        keys = {key: environment[key] for key in STORE_KEYS if environment.get(key)}
        return Defaults(
            bucket=self.store_bucket,
            prefix=self.store_prefix,
            endpoint=self.store_endpoint,
            region=self.store_region,
            store_pod_port=self.store_pod_port,
            keys=keys if len(keys) >= 2 else {},
            shared=tuple(f"{uri.rstrip('/')}/" for uri in self.store_shared),
            allowed_endpoints=tuple(self.store_allowed_endpoints),
            runtime_image=self.base_image,
            pull_secrets=tuple(self.pull_secrets),
            pull_login=self._pull_login(),
            namespace=self.namespace,
            policies=self.network_policies,
            url_seconds=self.url_seconds,
            open_status=self.poll == "proxy",
            cpu=self.default_cpu,
            memory=self.default_memory,
            memory_limit=self.default_memory_limit,
            supervisor_cpu=self.supervisor_cpu,
            supervisor_memory=self.supervisor_memory,
            supervisor_memory_limit=self.supervisor_memory_limit,
            work_size=self.work_size_limit,
            ttl=self.default_ttl_seconds if self.default_ttl_seconds >= 0 else None,
        )

    def _pull_login(self) -> str:
        """Docker config JSON for the registry of `repository` alone; empty where none is shared."""
        if not self.share_pull_credentials or not self.registry_config:
            return ""
        host = self.repository.partition("/")[0]
        auths = json.loads(Path(self.registry_config).read_text()).get("auths") or {}
        return json.dumps({"auths": {host: auths[host]}}) if host in auths else ""


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Reads the settings.

    Raises:
        InvalidInputError: Names every variable that cannot be used.
    """
    given: dict[str, object] = {}
    for name, field in Settings.model_fields.items():
        text = environment.get(f"FEDJOB_{name.upper()}", "")
        if text:
            many = field.annotation == list[str]
            given[name] = [p.strip() for p in text.split(",") if p.strip()] if many else text
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        raise InvalidInputError(
            Fault(
                f"FEDJOB_{str(found['loc'][0]).upper()}",
                f"{found['input']!r}: {found['msg']}",
                "correct it, or leave it out for the default",
            )
            for found in error.errors()
        ) from None
