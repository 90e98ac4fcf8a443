"""`spec.shards`: the data, one ZIP file a worker."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from fedjob.spec.models.base import Model
from fedjob.spec.models.fields import SHA256, S3Object, S3Prefix, ShardName
from fedjob.spec.models.lists import list_map
from fedjob.spec.models.upload import UploadFile

MAX_SHARDS = 256
"""Workers of one job; bounds the status list and the cost of the CEL rules."""


class ShardItem(Model):
    """One shard, named one by one."""

    name: ShardName = Field(description="File name, unique; workers are numbered in its order.")
    uri: S3Object = Field(description="`s3://bucket/key` of the ZIP.")
    sha256: str | None = Field(
        None, max_length=64, pattern=SHA256, description="Expected checksum, 64 hexadecimal digits."
    )


class ShardUpload(Model):
    """Shards that a client sends with presigned URLs: their author needs no keys of the store."""

    files: list[UploadFile] = Field(
        min_length=1,
        max_length=MAX_SHARDS + 1,
        description="Every shard, the validation shard among them; the job starts when all have "
        "arrived.",
        json_schema_extra=list_map("name"),
    )


class ShardsSpec(Model):
    """A prefix, a list, an upload, or none of them: then the job's own `shards/` prefix."""

    uri: S3Prefix | None = Field(None, description="`s3://bucket/prefix/`: every .zip under it.")
    items: list[ShardItem] | None = Field(
        None,
        min_length=1,
        max_length=MAX_SHARDS,
        description="The shards one by one.",
        json_schema_extra=list_map("name"),
    )
    upload: ShardUpload | None = Field(
        None,
        description="The files that a client uploads to the job's own `shards/` prefix; written by "
        "`fedjob submit --shards DIR`.",
    )
    validation: ShardName | None = Field(
        None,
        description="File name of the shard that no worker gets: it evaluates the global model.",
    )

    def for_workers(self, names: Iterable[str]) -> list[str]:
        """The shards that get a worker, in the order of the workers' numbers (CONTRACT row 37).

        Args:
            names: File names of every shard found.

        Returns:
            The names without the validation shard, sorted; worker-<i> gets the i-th.
        """
        return sorted(name for name in names if name != self.validation)
