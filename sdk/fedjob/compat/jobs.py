"""A job from the service's arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedjob.client.from_model import ModelLike, from_model
from fedjob.client.job import FederatedJob
from fedjob.client.model_files import Files, read_files
from fedjob.compat.configs import FederationConfig, ModelConfig
from fedjob.spec.models import federation as spec
from fedjob.spec.models.components import ComponentRef
from fedjob.spec.models.training import TrainingConfig

OWNER = "fedjob.dev/owner"
"""Annotation that holds the email of whoever submitted."""
Federation = FederationConfig | spec.FederationConfig | Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class JobArguments:
    """The arguments of the service's submission and of its builder.

    Attributes:
        name: Of the job; None: from the model's name.
        training: Hyperparameters.
        federation: Rounds, quorum, time limits, aggregator.
        model_config: Which class and functions are used.
        executor: `module.Class` of the author's own, or its class path and arguments.
        persistor: As `executor`.
        model_checkpoint: The first weights.
        requirements_txt: A requirements.txt, or a list.
        files: More files beside model_def.py.
    """

    name: str | None = None
    training: TrainingConfig | Mapping[str, Any] | None = None
    federation: Federation | None = None
    model_config: ModelConfig | None = None
    executor: ComponentRef | str | None = None
    persistor: ComponentRef | str | None = None
    model_checkpoint: str | Path | None = None
    requirements_txt: str | Path | list[str] | None = None
    files: Files = field(default_factory=tuple)

    @property
    def ignored(self) -> list[str]:
        """Names of the given arguments that change nothing."""
        return self.federation.ignored if isinstance(self.federation, FederationConfig) else []

    def job(self, model: ModelLike, email: str | None = None) -> FederatedJob:
        """The job of a model.

        Raises:
            InvalidInputError: Every fault of the arguments, each with a fix.
        """
        federation: spec.FederationConfig | Mapping[str, Any] | None
        aggregator = None
        if isinstance(self.federation, FederationConfig):
            self.federation.check()
            federation, aggregator = self.federation.values, self.federation.aggregator
        else:
            federation = self.federation
        config = self.model_config or ModelConfig()
        if isinstance(config.model_class, type) and isinstance(model, str | Path):
            model = config.model_class
        job = from_model(
            model,
            name=self.name,
            class_name=config.class_name,
            args=config.model_args,
            train_function=config.train_fn,
            training=self.training,
            federation=federation,
            files=self.files,
            requirements=() if self.requirements_txt is None else self.requirements_txt,
            checkpoint=self.model_checkpoint,
            executor=self.executor,
            persistor=self.persistor,
            aggregator=aggregator,
            annotations={OWNER: email} if email else None,
        )
        return _with_added_code(job, model, config)


def _with_added_code(job: FederatedJob, model: ModelLike, config: ModelConfig) -> FederatedJob:
    if not config.added_code:
        return job
    text = job.spec.model.source.inline or ""
    files = {file.path: (file.text or "").encode() for file in job.spec.model.files}
    files |= job.attached
    adapter = f"{config.adapter_module}.py"
    if config.adapter_module != "model_def" and adapter not in files:
        folder = Path(model).parent if isinstance(model, str | Path) else Path.cwd()
        files |= read_files([folder / adapter])
    return job.with_code(f"{text.rstrip()}\n\n{config.added_code}", files)
