"""A job that has passed every check that can be made before it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fedjob.spec import FederatedJob


@dataclass(frozen=True, slots=True)
class LocalFiles:
    """Files on this machine that stand for what the resource names.

    Attributes:
        base: Where the resource's file is: shards are looked for in `shards/` beside it by default.
        shards: Folder of the shard ZIPs.
        model_file: model_def.py.
        checkpoint: The first weights.
    """

    base: Path = Path()
    shards: Path | None = None
    model_file: Path | None = None
    checkpoint: Path | None = None


@dataclass(frozen=True, slots=True)
class LocalShard:
    """One shard ZIP.

    Attributes:
        name: Its file name.
        path: Where it is.
        samples: Lines of its manifest; None where fedjob knows no manifest in it.
        sha256: Of the file, hex.
    """

    name: str
    path: Path
    samples: int | None
    sha256: str


@dataclass(frozen=True, slots=True)
class PreparedRun:
    """What an engine needs to run a job.

    Attributes:
        job: The resource.
        num_classes: As given, or inferred over all shards.
        shards: The workers' shards: worker-<i> gets the i-th.
        validation: The shard that no worker gets, if any.
        checkpoint: The first weights, if any.
        job_files: The generated job folder: relative path to bytes.
        digests: SHA-256 of every file the job reads, by what it is called in messages.
        hints: What looks like a slip but need not be one.
    """

    job: FederatedJob
    num_classes: int
    shards: tuple[LocalShard, ...]
    validation: LocalShard | None
    checkpoint: Path | None
    job_files: Mapping[str, bytes]
    digests: Mapping[str, str | None] = field(default_factory=dict)
    hints: tuple[str, ...] = ()

    @property
    def workers(self) -> dict[str, LocalShard]:
        """Shard by worker name, by the shards' file name sort (row 37)."""
        return {f"worker-{number}": shard for number, shard in enumerate(self.shards)}
