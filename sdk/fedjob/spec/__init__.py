"""The FederatedJob resource: frozen pydantic models, their rules and the generated CRD.

No I/O lives here: nothing reads a file, a socket or the clock. The CRD, its documentation, the SDK
and the operator all derive from these models.
"""

from fedjob.spec.models.components import ComponentRef, ComponentsSpec
from fedjob.spec.models.federation import FederationConfig
from fedjob.spec.models.image import ImageSpec
from fedjob.spec.models.job import FederatedJob, FederatedJobSpec, ObjectMeta
from fedjob.spec.models.model import ConfigMapRef, ModelSource, ModelSpec
from fedjob.spec.models.placement import ResourceAmounts, Resources, Toleration
from fedjob.spec.models.run_policy import RunPolicy
from fedjob.spec.models.server import ServerSpec
from fedjob.spec.models.shards import ShardItem, ShardsSpec
from fedjob.spec.models.status import FederatedJobStatus
from fedjob.spec.models.storage import SecretRef, StorageSpec
from fedjob.spec.models.training import TrainingConfig
from fedjob.spec.models.workers import WorkersSpec

__all__ = [
    "ComponentRef",
    "ComponentsSpec",
    "ConfigMapRef",
    "FederatedJob",
    "FederatedJobSpec",
    "FederatedJobStatus",
    "FederationConfig",
    "ImageSpec",
    "ModelSource",
    "ModelSpec",
    "ObjectMeta",
    "ResourceAmounts",
    "Resources",
    "RunPolicy",
    "SecretRef",
    "ServerSpec",
    "ShardItem",
    "ShardsSpec",
    "StorageSpec",
    "Toleration",
    "TrainingConfig",
    "WorkersSpec",
]
