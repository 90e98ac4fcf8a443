"""The first weights of a job, from a file of this machine."""

from __future__ import annotations

from pathlib import Path

from fedjob.preparation.fault_list import FaultList
from fedjob.spec import FederatedJob

CHECKPOINT_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")
OPTION = "--checkpoint"


def check_checkpoint(job: FederatedJob, path: Path | None, faults: FaultList) -> None:
    """See that a run on this machine has the first weights that the job names.

    Args:
        job: The job.
        path: The file, where one is given.
        faults: Gets what is wrong.
    """
    if path is not None:
        check_file(path, faults)
        return
    model, fix = job.spec.model, f"give the file: {OPTION} FILE"
    if model.checkpoint is not None:
        problem = "is in S3, which a run on this machine does not read"
        faults.add("spec.model.checkpoint", problem, fix)
    if model.upload is not None and model.upload.checkpoint is not None:
        faults.add("spec.model.upload.checkpoint", "is a file of the job's author", fix)


def check_file(path: Path, faults: FaultList) -> None:
    """See that a file can be first weights, by its name."""
    if not path.is_file():
        faults.add(OPTION, f"{path} is not a file", "give the file of the first weights")
    elif path.suffix not in CHECKPOINT_SUFFIXES:
        fix = f"give a state dict in a file that ends in {', '.join(CHECKPOINT_SUFFIXES)}"
        faults.add(OPTION, f"{path} has another ending", fix)
