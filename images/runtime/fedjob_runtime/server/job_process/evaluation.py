"""Built-in evaluation of the global model, in the server's job process or by the workers."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from fedjob_runtime.protocol import (
    ENV_DEVICE,
    ENV_HANDOVER,
    ENV_JOB_FOLDER,
    ENV_JOB_ID,
    GENERATED_MODULE,
    JobSettings,
    env_path,
    env_text,
)
from fedjob_runtime.server.ipc import Handover
from fedjob_runtime.training.context import TrainingContext
from fedjob_runtime.training.evaluate import evaluate
from fedjob_runtime.training.model import build_model, load_user_module, set_weights
from fedjob_runtime.training.signatures import find_validate_function


@dataclass(frozen=True, slots=True)
class GlobalEvaluation:
    """Where the global model's metrics come from.

    Attributes:
        on_server: A validation shard that no worker has lies in the folder of orders.
        on_workers: There is no such shard, but the author's code has an fl_validate.
        settings: What is trained; None with the author's own executor. There is no evaluation then,
            nor where the job has no model.
    """

    on_server: bool
    on_workers: bool
    settings: JobSettings | None

    @classmethod
    def prepare(cls) -> GlobalEvaluation:
        """Decides by what the supervisor laid out in the folder of orders."""
        settings = JobSettings.read(env_path(ENV_JOB_FOLDER))
        if settings is None or settings.class_name is None:
            return cls(on_server=False, on_workers=False, settings=settings)
        on_server = _shard().is_dir()
        on_workers = settings.validate_fn is not None and not on_server
        return cls(on_server, on_workers, settings)

    def run(self, weights: dict[str, Tensor], round_number: int) -> dict[str, float]:
        """Metrics of `weights` on the validation shard, named `val_...`.

        Args:
            weights: The global model.
            round_number: CURRENT_ROUND as the author's code gets it, from 0.
        """
        settings = self.settings
        if settings is None or settings.class_name is None:
            return {}
        module = load_user_module(env_path(ENV_JOB_FOLDER) / "app/custom", "model_def")
        classes = int(settings.hyperparameters.get("num_classes", 0))
        model = build_model(module, settings.class_name, settings.model_args, classes)
        set_weights(model, weights)
        context = TrainingContext.from_hyperparameters(
            settings.hyperparameters,
            worker="server",
            job_id=env_text(ENV_JOB_ID),
            round=round_number,
            data_root=_shard(),
            device=env_text(ENV_DEVICE),
        )
        name = settings.validate_fn
        validate = find_validate_function(module, name) if name else None
        generated = settings.adapter_module == GENERATED_MODULE
        with tempfile.TemporaryDirectory(prefix="fedjob-validate-") as scratch:
            # The shard lies in the folder of orders, which is read-only in a pod.
            context = replace(context, runs=Path(scratch))
            found = evaluate(model.to(context.device), context, validate, generated=generated)
        return {f"val_{name}": value for name, value in found.metrics.items()}


def _shard() -> Path:
    return Handover(env_path(ENV_HANDOVER)).validation()
