"""`spec.model`: the user's file, its class and how it starts."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fedjob.spec.models.base import Model
from fedjob.spec.models.fields import (
    FILE_NAME,
    REQUIREMENT,
    Identifier,
    KeywordArgs,
    ModelName,
    ObjectName,
    S3Object,
)
from fedjob.spec.models.lists import list_set

Requirement = Annotated[str, Field(max_length=200, pattern=REQUIREMENT)]


class ConfigMapRef(Model):
    """A key of a ConfigMap in the job's namespace."""

    name: ObjectName = Field(description="The ConfigMap.")
    key: str = Field(
        "model_def.py",
        max_length=253,
        pattern=FILE_NAME,
        description="The key that holds the file.",
    )


class ModelSource(Model):
    """Where model_def.py comes from: exactly one of the three."""

    inline: str | None = Field(
        None, min_length=1, max_length=262144, description="The text of model_def.py itself."
    )
    config_map_ref: ConfigMapRef | None = Field(
        None, description="A ConfigMap that holds model_def.py."
    )
    uri: S3Object | None = Field(None, description="`s3://bucket/key` of model_def.py.")


class ModelSpec(Model):
    """The model class, its training function and its first weights."""

    source: ModelSource = Field(
        description="Where model_def.py comes from.", examples=["{uri: s3://bucket/model_def.py}"]
    )
    class_name: ModelName | None = Field(
        None,
        description="What makes the model in model_def.py: a class (`Outer.Inner` for a nested "
        "one), a function or partial that returns it, or a name bound to it. Absent: there is no "
        "model, and the first answers of `fl_train_model(payload)` make the global weights.",
        examples=["Net"],
    )
    args: KeywordArgs = Field(
        default_factory=dict,
        description="Keyword arguments of the class or function; num_classes is added where it "
        "takes it. A mapping becomes a dataclass or pydantic model where the argument is one.",
    )
    train_function: Identifier | None = Field(
        None,
        description="The training function in model_def.py; absent: `fl_train_model`, else "
        "`fl_train`, else the generated training loop.",
    )
    checkpoint: S3Object | None = Field(
        None, description="`s3://bucket/key` of the initial weights: the global model of round 0."
    )
    requirements: list[Requirement] = Field(
        default_factory=list,
        max_length=64,
        description="Python packages that model_def.py needs, as pip names them.",
        json_schema_extra=list_set(),
    )
