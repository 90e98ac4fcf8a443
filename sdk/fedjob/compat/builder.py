"""`RTJobBuilder`: the rendered files of a job as text, without a cluster and without shards."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from fedjob.client.from_model import ModelLike
from fedjob.client.job import FederatedJob
from fedjob.client.python_names import python_names
from fedjob.compat.configs import ModelConfig
from fedjob.compat.ignored import check_known, warn_of_ignored
from fedjob.compat.jobs import JobArguments
from fedjob.preparation.prepare import code_of_job
from fedjob.workspace.components import CUSTOM
from fedjob.workspace.render import render_job_folder

CONFIG = "app/config/"
_PLACEHOLDER = '''from torch import nn


class Model(nn.Module):
    """Stands for the model where only the configuration is rendered."""
'''


class RTJobBuilder:
    """Renders the NVFlare job of a model, to look at it (row 35).

    Examples:
        >>> builder = RTJobBuilder(name="digits", federation=FederationConfig(num_rounds=3))
        >>> sorted(builder.render_configs())
        ['config_fed_client.json', 'config_fed_server.json', 'meta.json']
        >>> sorted(builder.render_scripts(Net))
        ['fedjob_executor.py', 'fedjob_persistor.py', 'model_def.py', 'scaling.py']
    """

    def __init__(self, **arguments: Any) -> None:
        """Renders nothing yet.

        Args:
            **arguments: name, training, federation, model_config, executor, persistor,
                requirements_txt, files, as `ResonTech.rt_submit` takes them. What prices or picks
                workers is accepted with one warning.

        Raises:
            InvalidJobError: An argument is unknown.
        """
        known = JobArguments.__annotations__
        taken = {key: value for key, value in arguments.items() if key in known}
        ignored = [key for key in arguments if key not in known]
        check_known(ignored, "RTJobBuilder")
        self._arguments = JobArguments(**taken)
        warn_of_ignored([*ignored, *self._arguments.ignored])

    def render_configs(self, model: ModelLike | None = None) -> dict[str, str]:
        """The configuration files by their names, as text.

        Args:
            model: Decides between your training function and the generated one; None: generated.

        Raises:
            InvalidJobError: Every fault of the arguments, each with a fix.

        Examples:
            >>> configs = RTJobBuilder(federation=FederationConfig(num_rounds=3)).render_configs()
            >>> '"num_rounds": 3' in configs["config_fed_server.json"]
            True
        """
        return {
            path.removeprefix(CONFIG): text
            for path, text in self._rendered(model).items()
            if path.startswith(CONFIG) or path == "meta.json"
        }

    def render_scripts(self, model: ModelLike) -> dict[str, str]:
        """model_def.py, the files beside it, executor and persistor by their names, as text.

        Args:
            model: The model class, or the path of its model_def.py.

        Raises:
            InvalidJobError: Every fault of the model and the arguments, each with a fix.

        Examples:
            >>> RTJobBuilder().render_scripts(Net)["model_def.py"][:12]
            'import torch'
        """
        return {
            path.removeprefix(CUSTOM): text
            for path, text in self._rendered(model).items()
            if path.startswith(CUSTOM)
        }

    def _rendered(self, model: ModelLike | None) -> dict[str, str]:
        job = self._job(model)
        with python_names():
            code = code_of_job(job, job.local_files())
            files = render_job_folder(
                job,
                code.text,
                code.info,
                num_classes=job.spec.training.num_classes,
                workers=[f"worker-{n}" for n in range(job.spec.federation.min_clients)],
                model_files=code.files,
                requirements=code.requirements,
            )
        return {path: content.decode("utf-8", "replace") for path, content in files.items()}

    def _job(self, model: ModelLike | None) -> FederatedJob:
        if model is not None:
            return self._arguments.job(model)
        with tempfile.TemporaryDirectory(prefix="fedjob-") as folder:
            path = Path(folder) / "model_def.py"
            path.write_text(_PLACEHOLDER)
            config = replace(self._arguments.model_config or ModelConfig(), model_class="Model")
            plain = replace(config, model_args={}, adapter_module="model_def", train_fn=None)
            return replace(self._arguments, model_config=plain).job(path)
