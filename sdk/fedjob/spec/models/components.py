"""`spec.components`: the user's own executor, persistor and aggregator."""

from __future__ import annotations

from pydantic import Field

from fedjob.spec.models.base import Model
from fedjob.spec.models.fields import ClassPath, KeywordArgs


class ComponentRef(Model):
    """A class of the author in place of one of fedjob's."""

    path: ClassPath = Field(description="`module.Class`, such as `model_def.MyExecutor`.")
    args: KeywordArgs = Field(default_factory=dict, description="Keyword arguments of the class.")


class ComponentsSpec(Model):
    """Each absent one is fedjob's own."""

    executor: ComponentRef | None = Field(
        None, description="An NVFlare `Executor` that runs the training on each worker."
    )
    persistor: ComponentRef | None = Field(
        None, description="An NVFlare `ModelPersistor` that loads the global model of round 0."
    )
    aggregator: ComponentRef | None = Field(
        None, description="An NVFlare `Aggregator` in place of FedAvg."
    )
