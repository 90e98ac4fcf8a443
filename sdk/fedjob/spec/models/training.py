"""`spec.training`: the hyperparameters of the training function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, JsonValue, ValidationInfo, field_validator, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from fedjob.spec.env_names import FIELDS, OWN
from fedjob.spec.models.base import Model
from fedjob.spec.models.fields import FILE_NAME, JsonObject


class TrainingConfig(Model):
    """Hyperparameters, passed to the user's code each round."""

    num_classes: int = Field(
        0, ge=0, le=1000000, description="Classes of the model; 0 infers them over all shards."
    )
    local_epochs: int = Field(
        2, ge=1, le=10000, description="Epochs a worker trains in each round."
    )
    batch_size: int = Field(32, ge=1, le=1048576, description="Samples in a batch.")
    learning_rate: float = Field(
        0.001, ge=1e-9, le=1000, allow_inf_nan=False, description="Step size of the optimizer."
    )
    img_size: int = Field(
        224, ge=1, le=16384, description="Images are resized to this width and height, in pixels."
    )
    manifest_file: str = Field(
        "manifest.ndjson",
        min_length=1,
        max_length=128,
        pattern=FILE_NAME,
        description="File name of the manifest at the root of each shard.",
    )
    extra: JsonObject = Field(
        default_factory=dict,
        description="More values for the training function's `env`; the name of a field, "
        "such as IMG_SIZE, sets that field.",
    )

    @model_validator(mode="before")
    @classmethod
    def _take_fields_from_extra(cls, data: Any) -> Any:
        """Sets the fields that `extra` names.

        The API server writes defaults into the object, so a field that has its default counts as
        not given.
        """
        extra = data.get("extra") if isinstance(data, Mapping) else None
        if not isinstance(extra, Mapping):
            return data
        taken = dict(data)
        for name, value in extra.items():
            field = FIELDS.get(name)
            if field is None:
                continue
            given = field if field in taken else to_camel(field)
            default = cls.model_fields[field].default
            if taken.get(given, default) == default:
                taken[given] = value
        return taken

    @field_validator("extra")
    @classmethod
    def _check_names(
        cls, extra: dict[str, JsonValue], info: ValidationInfo
    ) -> dict[str, JsonValue]:
        faults = []
        for name, value in extra.items():
            if name in OWN:
                faults.append((name, "is set by fedjob itself", "rename it"))
            field = FIELDS.get(name)
            if field is not None and info.data.get(field, value) != value:
                problem = f"is {value!r}, but training.{to_camel(field)} is {info.data[field]!r}"
                faults.append((name, problem, "keep one of the two"))
        if faults:
            names = ", ".join(f"`{name}` {problem}" for name, problem, _ in faults)
            raise PydanticCustomError("extra_names", "{names}", {"names": names, "faults": faults})
        return extra
