"""The persistor: instantiates the model on the server and gives the initial global model (row 6).

The author's own persistor, a subclass of NVFlare's ModelPersistor, may replace it.
"""

from __future__ import annotations

import fedjob_runtime.processes.torch_import  # noqa: F401 (first: see there)  # isort: skip

from typing import Any

import torch
from nvflare.apis.fl_context import FLContext
from nvflare.app_common.abstract.model import ModelLearnable, make_model_learnable
from nvflare.app_common.abstract.model_persistor import ModelPersistor as NVFlarePersistor
from torch import nn

from fedjob_runtime.protocol import ENV_HANDOVER, ENV_JOB_FOLDER, env_path
from fedjob_runtime.server.ipc import Handover
from fedjob_runtime.training.model import (
    build_model,
    load_user_module,
    model_weights,
    set_weights,
)
from fedjob_runtime.training.weights import load_checkpoint

INITIAL_SEED = 0
"""Seed of the initial weights: two starts of the same job begin with the same."""


class ModelPersistor(NVFlarePersistor):
    """Builds `class_name` of model_def.py; a checkpoint, where given, is the round-0 global model.

    Args:
        class_name: What makes the model in app/custom/model_def.py. None: the job has no model, and
            the first answers make it, unless there is a checkpoint.
        model_args: Keyword arguments of its constructor.
        num_classes: Passed too where the constructor takes it; 0 means unknown.
    """

    def __init__(
        self, class_name: str | None, model_args: dict[str, Any] | None = None, num_classes: int = 0
    ) -> None:
        super().__init__()
        self._class_name = class_name
        self._args = model_args or {}
        self._num_classes = num_classes

    @property
    def has_model(self) -> bool:
        """Whether there is a model before round 1."""
        return self._class_name is not None

    def load_model(self, fl_ctx: FLContext) -> ModelLearnable:
        """The initial weights by name, on the CPU; none where the job has no model."""
        checkpoint = Handover(env_path(ENV_HANDOVER)).checkpoint()
        if self._class_name is None:
            weights = load_checkpoint(checkpoint) if checkpoint else {}
            return make_model_learnable(weights=weights, meta_props={})
        model = self._build(self._class_name)
        if checkpoint:
            set_weights(model, load_checkpoint(checkpoint))
        return make_model_learnable(weights=model_weights(model), meta_props={})

    def buffers(self) -> set[str]:
        """Names of tensors that no optimizer trains, such as BatchNorm's running statistics."""
        if self._class_name is None:
            return set()
        return {name for name, _ in self._build(self._class_name).named_buffers()}

    def _build(self, class_name: str) -> nn.Module:
        torch.manual_seed(INITIAL_SEED)
        module = load_user_module(env_path(ENV_JOB_FOLDER) / "app/custom", "model_def")
        return build_model(module, class_name, self._args, self._num_classes)

    def save_model(self, model: ModelLearnable, fl_ctx: FLContext) -> None:
        """Nothing to do: the supervisor commits every round to the store."""
