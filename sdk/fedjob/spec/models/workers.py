"""`spec.workers`: the pods that train, one a shard."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fedjob.spec.models.placement import Placement


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
