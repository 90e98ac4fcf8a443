"""Files that a client uploads for the job, without keys of the store."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fedjob.spec.models.base import Model
from fedjob.spec.models.fields import SHA256, FilePath, ShardName
from fedjob.spec.models.lists import list_map

LARGEST_FILE = 5 * 1024**4
"""Bytes of the largest object that S3 stores."""
MAX_MODEL_FILES = 1000
"""Uploaded files beside model_def.py: with names of usual length the list fits into etcd."""
LARGEST_MODEL_FILE = 16 * 1024**2
"""Bytes of one of them: they travel in the job's image."""
_SHA256 = Field(
    max_length=64,
    pattern=SHA256,
    description="Checksum of its bytes, 64 hexadecimal digits.",
    examples=[
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    ],
)


class UploadFile(Model):
    """A shard that a client uploads: what the operator expects to arrive."""

    name: ShardName = Field(description="File name, unique; workers are numbered in its order.")
    sha256: str = _SHA256
    size: int = Field(ge=1, le=LARGEST_FILE, description="Bytes.", examples=[1048576])


class UploadSource(Model):
    """A model_def.py that a client uploads, because it is too long for the resource."""

    sha256: str = _SHA256
    size: int = Field(ge=1, le=LARGEST_MODEL_FILE, description="Bytes.", examples=[300000])


class UploadCheckpoint(Model):
    """Initial weights that a client uploads."""

    suffix: Literal[".safetensors", ".pt", ".pth", ".bin"] = Field(
        description="Ending of the file's name, which says how the weights are read."
    )
    sha256: str = _SHA256
    size: int = Field(ge=1, le=LARGEST_FILE, description="Bytes.", examples=[1048576])


class UploadModelFile(Model):
    """A file beside model_def.py that a client uploads: binary, or too long for the resource."""

    path: FilePath = Field(
        description="Where it lies, relative to model_def.py.", examples=["vocabulary.bin"]
    )
    sha256: str = _SHA256
    size: int = Field(ge=0, le=LARGEST_MODEL_FILE, description="Bytes.", examples=[300000])


class ModelUpload(Model):
    """What a client sends of the model with presigned URLs, beside the resource."""

    checkpoint: UploadCheckpoint | None = Field(
        None, description="The initial weights, in place of spec.model.checkpoint."
    )
    files: list[UploadModelFile] = Field(
        default_factory=list,
        max_length=MAX_MODEL_FILES,
        description="Further files beside model_def.py.",
        json_schema_extra=list_map("path"),
    )
