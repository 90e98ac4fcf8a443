"""`spec.training`: what the training function gets (CONTRACT row 4 has the defaults)."""

from __future__ import annotations

from pydantic import Field, JsonValue, field_validator
from pydantic_core import PydanticCustomError

from fedjob.spec.models.base import Model
from fedjob.spec.models.fields import FILE_NAME, JsonObject

RESERVED = frozenset(
    [
        "EPOCHS",
        "BATCH_SIZE",
        "LR",
        "DATA_ROOT",
        "CURRENT_ROUND",
        "SITE_NAME",
        "JOB_ID",
        "DEVICE",
        "NUM_CLASSES",
        "IMG_SIZE",
        "MANIFEST_FILE",
        "local_epochs",
        "batch_size",
        "learning_rate",
        "num_classes",
        "img_size",
        "manifest_file",
    ]
)
"""Names that the training function finds in `env` anyway (CONTRACT section 1)."""


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
        default_factory=dict, description="More values for the training function's `env`."
    )

    @field_validator("extra")
    @classmethod
    def _keeps_our_names(cls, extra: dict[str, JsonValue]) -> dict[str, JsonValue]:
        for name in extra:
            if name in RESERVED:
                raise PydanticCustomError(
                    "reserved_name", "`{name}` is set by fedjob itself", {"name": name}
                )
        return extra
