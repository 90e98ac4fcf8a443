"""Node selection and resources of pods, shared by `spec.server` and `spec.workers`."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from pydantic import Field

from fedjob.spec.models.base import Model
from fedjob.spec.models.fields import NodeSelector, ObjectName, Quantity

_UNITS = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    **{unit: Decimal(1000) ** n for n, unit in enumerate("kMGTP", start=1)},
    **{f"{unit}i": Decimal(1024) ** n for n, unit in enumerate("KMGTP", start=1)},
}


def amount(quantity: str) -> Decimal:
    """The number of cores or bytes in a Kubernetes quantity.

    Args:
        quantity: As `fields.QUANTITY` allows it, such as `500m` or `4Gi`.
    """
    number = quantity.rstrip("mkKMGTPi")
    return Decimal(number) * _UNITS[quantity[len(number) :]]


class ResourceAmounts(Model):
    """Amounts as Kubernetes writes them: `500m`, `2`, `4Gi`."""

    cpu: Quantity | None = Field(None, description="Cores, such as `500m` or `2`.")
    memory: Quantity | None = Field(None, description="Bytes, such as `4Gi`.")
    ephemeral_storage: Quantity | None = Field(
        None, alias="ephemeral-storage", description="Bytes of local disk, such as `20Gi`."
    )


class Resources(Model):
    """Requests and limits of a pod, in the form of a container's `resources`."""

    requests: ResourceAmounts | None = Field(None, description="Reserved by the scheduler.")
    limits: ResourceAmounts | None = Field(None, description="Upper bounds of the pod.")


class Toleration(Model):
    """A taint that the pod accepts, as in a pod's `tolerations`."""

    key: str | None = Field(None, max_length=316, description="Of the taint; absent: every key.")
    operator: Literal["Exists", "Equal"] = Field(
        "Equal", description="`Exists` ignores the value; `Equal` compares it."
    )
    value: str | None = Field(None, max_length=63, description="Of the taint, with `Equal`.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        None, description="Absent: every effect."
    )
    toleration_seconds: int | None = Field(
        None, ge=0, le=604800, description="How long NoExecute is tolerated; absent: for ever."
    )


class Placement(Model):
    """The pod settings that server and workers share."""

    resources: Resources = Field(
        default_factory=Resources,
        description="CPU, memory, disk; absent: the operator's choice.",
    )
    node_selector: NodeSelector = Field(
        default_factory=dict, description="Labels that the node must carry."
    )
    tolerations: list[Toleration] = Field(
        default_factory=list, max_length=16, description="Taints that are accepted."
    )
    runtime_class_name: ObjectName | None = Field(
        None, description="RuntimeClass of the pods, such as `nvidia`."
    )
    priority_class_name: ObjectName | None = Field(None, description="PriorityClass of the pods.")
