"""`spec.workers`: the pods that train, one a shard."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fedjob.spec.models.base import Model
from fedjob.spec.models.placement import Placement

LARGEST_KEPT = 256 * 1024**2
"""Bytes that a worker may keep of one round: they are held in memory while they are sent."""


class KeepFiles(Model):
    """What is kept of the files that the training function leaves in out_dir."""

    max_bytes: int = Field(
        ge=1,
        le=LARGEST_KEPT,
        description="Bytes of one round of one worker; a round with more is not kept, with a "
        "warning.",
        examples=[10485760],
    )


class WorkersSpec(Placement):
    """The pods of the workers: GPUs, placement and patience."""

    gpu: int = Field(1, ge=0, le=16, description="GPUs of each worker (`nvidia.com/gpu`).")
    gpu_fallback: Literal["cpu", "wait"] = Field(
        "cpu", description="Where no node offers GPUs: `cpu` trains without, `wait` waits for one."
    )
    max_restarts: int = Field(
        3,
        ge=0,
        le=100,
        description="Replacements of one worker before the job continues without it.",
    )
    keep_files: KeepFiles | None = Field(
        None,
        description="Keeps the files of each round at files_out/files/<worker>/round-<n>.zip; on "
        "one machine in OUT/files/. Absent: they are removed with the worker.",
    )
