"""A file that a client uploads for the job, without keys of the store."""

from __future__ import annotations

from pydantic import Field

from fedjob.spec.models.base import Model
from fedjob.spec.models.fields import SHA256, ShardName

LARGEST_FILE = 5 * 1024**4
"""Bytes of the largest object that S3 stores."""


class UploadFile(Model):
    """A shard that a client uploads: what the operator expects to arrive."""

    name: ShardName = Field(description="File name, unique; workers are numbered in its order.")
    sha256: str = Field(
        max_length=64,
        pattern=SHA256,
        description="Checksum of its bytes, 64 hexadecimal digits.",
        examples=[
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        ],
    )
    size: int = Field(ge=1, le=LARGEST_FILE, description="Bytes.", examples=[1048576])
