"""What a federated job is: frozen pydantic models, their rules and the CRD made from them.

No I/O lives here: nothing reads a file, a socket or the clock. The CRD, its documentation, the SDK
and the operator all derive from these models.
"""

from fedjob.spec.components import ComponentRef, ComponentsSpec
from fedjob.spec.federation import FederationConfig
from fedjob.spec.image import ImageSpec
from fedjob.spec.job import FederatedJob, FederatedJobSpec, ObjectMeta
from fedjob.spec.model import ConfigMapRef, ModelSource, ModelSpec
from fedjob.spec.placement import ResourceAmounts, Resources, Toleration
from fedjob.spec.run_policy import RunPolicy
from fedjob.spec.server import ServerSpec
from fedjob.spec.shards import ShardItem, ShardsSpec
from fedjob.spec.status import FederatedJobStatus
from fedjob.spec.storage import SecretRef, StorageSpec
from fedjob.spec.training import TrainingConfig
from fedjob.spec.workers import WorkersSpec

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
