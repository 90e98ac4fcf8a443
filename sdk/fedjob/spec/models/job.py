"""The resource itself: `FederatedJob` and its `spec`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field, field_validator
from pydantic.alias_generators import to_camel

from fedjob.spec.models.base import Model
from fedjob.spec.models.components import ComponentsSpec
from fedjob.spec.models.federation import FederationConfig
from fedjob.spec.models.fields import DNS_LABEL, JOB_NAME
from fedjob.spec.models.image import ImageSpec
from fedjob.spec.models.model import ModelSpec
from fedjob.spec.models.run_policy import RunPolicy
from fedjob.spec.models.server import ServerSpec
from fedjob.spec.models.shards import ShardsSpec
from fedjob.spec.models.status import FederatedJobStatus
from fedjob.spec.models.storage import StorageSpec
from fedjob.spec.models.training import TrainingConfig
from fedjob.spec.models.workers import WorkersSpec
from fedjob.spec.yaml import dump_yaml

GROUP = "fedjob.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "FederatedJob"
PLURAL = "federatedjobs"
MAX_NAME = 40
"""Characters of a job's name: children append a suffix and must stay below 63."""


class ObjectMeta(Model):
    """The Kubernetes metadata that fedjob reads; other fields of a live object are ignored."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True
    )

    name: str = Field(
        min_length=1,
        max_length=MAX_NAME,
        pattern=JOB_NAME,
        description="Lower-case letters, digits and `-`, a letter first.",
        examples=["digits"],
    )
    namespace: str = Field("default", min_length=1, max_length=63, pattern=DNS_LABEL)
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    uid: str | None = None
    generation: int | None = None
    resource_version: str | None = None
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None

    @field_validator("labels", "annotations", mode="before")
    @classmethod
    def _absent_is_empty(cls, value: Any) -> Any:
        return {} if value is None else value


class FederatedJobSpec(Model):
    """The model, its shards, the federation and the resources."""

    model: ModelSpec = Field(description="The user's model class and training function.")
    shards: ShardsSpec = Field(
        default_factory=ShardsSpec,
        description="The data, one ZIP a worker; absent: the job's own `shards/` prefix.",
    )
    training: TrainingConfig = Field(
        default_factory=TrainingConfig, description="Hyperparameters of the training function."
    )
    federation: FederationConfig = Field(
        default_factory=FederationConfig, description="Rounds, quorum and time limits."
    )
    components: ComponentsSpec = Field(
        default_factory=ComponentsSpec, description="The user's own NVFlare classes."
    )
    image: ImageSpec = Field(default_factory=ImageSpec, description="The job's container image.")
    server: ServerSpec = Field(default_factory=ServerSpec, description="The pod that aggregates.")
    workers: WorkersSpec = Field(
        default_factory=WorkersSpec, description="The pods that train, one a shard."
    )
    storage: StorageSpec = Field(
        default_factory=StorageSpec, description="The bucket of the job's objects."
    )
    run_policy: RunPolicy = Field(
        default_factory=RunPolicy, description="Pausing, giving up and cleaning up."
    )


class FederatedJob(Model):
    """One federated training run, as `kubectl apply` takes it."""

    api_version: Literal["fedjob.dev/v1alpha1"] = "fedjob.dev/v1alpha1"
    kind: Literal["FederatedJob"] = "FederatedJob"
    metadata: ObjectMeta
    spec: FederatedJobSpec
    status: FederatedJobStatus | None = None

    def to_yaml(self) -> str:
        """YAML for `kubectl apply`: the fields that differ from the defaults, without status.

        `parse_job` reads it back as an equal job, but for what the cluster put
        into metadata (uid, generation, resourceVersion, timestamps).
        """
        outer = {"apiVersion": self.api_version, "kind": self.kind}
        inner = self.model_dump(
            mode="json",
            by_alias=True,
            exclude_defaults=True,
            include={"metadata": {"name", "namespace", "labels", "annotations"}, "spec": True},
        )
        return dump_yaml({**outer, **inner})
