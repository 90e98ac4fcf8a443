"""What the training function gets besides the weights: worker, round, folders, hyperparameters."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from fedjob.spec.env_names import OWN
from fedjob_runtime.training.errors import TrainFunctionInvalidError, TrainingError


@dataclass(frozen=True, slots=True)
class TrainingContext:
    """One worker's one round.

    Attributes:
        worker: Its name, SITE_NAME; `server` when the server evaluates.
        job_id: JOB_ID.
        round: CURRENT_ROUND, from 0; the commit it leads to is this plus 1.
        data_root: The shard's folder, absolute.
        device: `cpu`, `cuda` or `cuda:<n>`.
        local_epochs: Passes over the shard.
        batch_size: Samples in a batch.
        learning_rate: The optimizer's step.
        num_classes: Classes over all shards; 0 where unknown.
        img_size: Images become squares of this many pixels a side.
        manifest_file: The manifest's file name in data_root.
        extra: spec.training.extra: more entries for env; only the names `env_names.LATER` replace
            entries of fedjob's own.
        num_rounds: NUM_ROUNDS of the job; 0 in job folders of an older version.
        num_clients: NUM_CLIENTS, the workers of the job; 0 in job folders of an older version.
        shard_name: SHARD_NAME, the file name of the worker's shard.
        proximal_mu: PROXIMAL_MU, of strategy FedProx (`training.objective`); None with others.
        state_dir: STATE_DIR, where the training function may keep files from round to round; None
            where there is none, as on the server.
        runs: Where out_dir and validate_dir lie; None: `<data_root>/runs`.
    """

    worker: str
    job_id: str
    round: int
    data_root: Path
    device: str = "cpu"
    local_epochs: int = 2
    batch_size: int = 32
    learning_rate: float = 0.001
    num_classes: int = 0
    img_size: int = 224
    manifest_file: str = "manifest.ndjson"
    extra: Mapping[str, Any] = field(default_factory=dict)
    num_rounds: int = 0
    num_clients: int = 0
    shard_name: str = ""
    proximal_mu: float | None = None
    state_dir: Path | None = None
    runs: Path | None = None

    def __post_init__(self) -> None:
        clash = sorted(OWN & set(self.extra))
        if clash:
            raise TrainFunctionInvalidError(
                f"spec.training.extra has {', '.join(clash)}, which env has already",
                "choose other names",
                worker=self.worker,
            )

    @classmethod
    def from_hyperparameters(
        cls,
        hyperparameters: Mapping[str, Any],
        *,
        worker: str,
        job_id: str,
        round: int,
        data_root: Path,
        device: str = "auto",
        shard_name: str = "",
        state_dir: Path | None = None,
    ) -> TrainingContext:
        """The context from the job folder's `hyperparameters`: spec.training in snake_case.

        Args:
            hyperparameters: Absent ones keep their defaults; `extra` holds more.
            worker: Its name.
            job_id: The job.
            round: CURRENT_ROUND, from 0.
            data_root: The shard's folder.
            device: `auto` is the GPU where there is one.
            shard_name: The shard's file name.
            state_dir: The folder for files that live from round to round; created.
        """
        if state_dir is not None:
            state_dir.mkdir(parents=True, exist_ok=True)
            state_dir = state_dir.resolve()
        return cls(
            worker=worker,
            job_id=job_id,
            round=round,
            data_root=data_root.resolve(),
            device=pick_device(device),
            shard_name=shard_name,
            state_dir=state_dir,
            **hyperparameters,
        )

    @property
    def out_dir(self) -> Path:
        """`<data_root>/runs/round_<n>`, where the training function may write."""
        return (self.runs or self.data_root / "runs") / f"round_{self.round}"

    @property
    def validate_dir(self) -> Path:
        """Where fl_validate may write; apart from the training's files."""
        return (self.runs or self.data_root / "runs") / f"validate_{self.round}"

    def documented_env(self) -> dict[str, Any]:
        """`payload["env"]` of form A."""
        return {
            **self.extra,
            "SITE_NAME": self.worker,
            "JOB_ID": self.job_id,
            "CURRENT_ROUND": self.round,
            "DEVICE": self.device,
            "local_epochs": self.local_epochs,
            "batch_size": self.batch_size,
            "learning_rate": self.learning_rate,
            "num_classes": self.num_classes,
            "img_size": self.img_size,
            "manifest_file": self.manifest_file,
            **self._job(),
        }

    def payload(self, initial_weights: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        """The one argument of form A."""
        payload: dict[str, Any] = {
            "dataset": {"data_root": str(self.data_root)},
            "env": self.documented_env(),
            "initial_weights": initial_weights,
        }
        if self.state_dir is not None:
            payload["state_dir"] = str(self.state_dir)
        return payload

    def env(self) -> dict[str, Any]:
        """`env` of form B."""
        return {
            **self.extra,
            "EPOCHS": self.local_epochs,
            "BATCH_SIZE": self.batch_size,
            "LR": self.learning_rate,
            "DATA_ROOT": str(self.data_root),
            "CURRENT_ROUND": self.round,
            "SITE_NAME": self.worker,
            "JOB_ID": self.job_id,
            "DEVICE": self.device,
            "NUM_CLASSES": self.num_classes,
            "IMG_SIZE": self.img_size,
            "MANIFEST_FILE": self.manifest_file,
            **self._job(),
        }

    def _job(self) -> dict[str, Any]:
        entries: dict[str, Any] = {
            "NUM_ROUNDS": self.num_rounds,
            "NUM_CLIENTS": self.num_clients,
            "SHARD_NAME": self.shard_name,
        }
        if self.proximal_mu is not None:
            entries["PROXIMAL_MU"] = self.proximal_mu
        if self.state_dir is not None:
            entries["STATE_DIR"] = str(self.state_dir)
        # A job of an older version may have these names in `extra`, and its code expects them.
        return {name: self.extra.get(name, value) for name, value in entries.items()}


def pick_device(wanted: str) -> str:
    """`auto` becomes `cuda` where torch sees a GPU, else `cpu`.

    Raises:
        TrainingError: `cuda` is wanted and there is none.
    """
    available = torch.cuda.is_available()
    if wanted == "auto":
        return "cuda" if available else "cpu"
    if wanted.startswith("cuda") and not available:
        raise TrainingError(
            f"device {wanted} is wanted, but torch {torch.__version__} sees no GPU here",
            "set spec.workers.gpu to 0, or give the worker a GPU and a CUDA build of torch",
        )
    return wanted


def make_fresh(folder: Path) -> Path:
    """Makes an empty folder: files of an earlier try of the round must not count as this one's."""
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    return folder


@contextmanager
def working_directory(folder: Path) -> Iterator[None]:
    """Makes the folder the working directory, and restores the one before."""
    before = os.open(".", os.O_RDONLY)
    try:
        os.chdir(folder)
        yield
    finally:
        # By descriptor: its path may have been renamed.
        os.fchdir(before)
        os.close(before)
