"""The service's configuration objects: connection, federation and model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from fedjob.errors import Fault, InvalidInputError, WorkspaceError
from fedjob.spec.models import federation as spec
from fedjob.spec.models.components import ComponentRef

STANDARD_WORKFLOWS = ("ScatterAndGather", "FedAvg")
"""NVFlare's own, whose rounds fedjob's controller runs."""


@dataclass(frozen=True)
class ResonTechConfig:
    """How to reach the place where jobs run (row 3).

    Attributes:
        base_url: `https://host:port` of the cluster's API server; None or `kubeconfig`: what
            kubectl uses; `local` or `local://DIR`: this machine, with runs in DIR.
        email: Noted on every job as its owner, in the annotation `fedjob.dev/owner`.
        password: A bearer token of the API server; None: the kubeconfig's credentials.
        sftp_key_file: The service's earlier way to upload; refused (row 28).
        namespace: Of the jobs; None: that of the kubeconfig's context.
        s3_access_key_id: Without effect, as all `s3_...`: files travel without keys.
        s3_secret_access_key: Without effect.
        s3_endpoint: Without effect.
        s3_bucket_alias: Without effect.
        s3_region: Without effect.

    Raises:
        WorkspaceError: `sftp_key_file` is given.

    Examples:
        >>> ResonTechConfig(base_url="local", email="ada@example.org").email
        'ada@example.org'
        >>> ResonTechConfig(sftp_key_file="~/.ssh/id_ed25519")
        Traceback (most recent call last):
        fedjob.errors.WorkspaceError: sftp_key_file: SFTP uploads are not supported; ...
    """

    base_url: str | None = None
    email: str | None = None
    password: str | None = field(default=None, repr=False)
    sftp_key_file: str | Path | None = None
    namespace: str | None = None
    s3_access_key_id: str | None = field(default=None, repr=False)
    s3_secret_access_key: str | None = field(default=None, repr=False)
    s3_endpoint: str | None = None
    s3_bucket_alias: str | None = None
    s3_region: str | None = None

    def __post_init__(self) -> None:
        if self.sftp_key_file is not None:
            fix = "leave it out: shards go to the job's S3 store, with the cluster's own keys"
            problem = "SFTP uploads are not supported"
            raise WorkspaceError([Fault("sftp_key_file", problem, fix)])

    @property
    def ignored(self) -> list[str]:
        """Names of the given arguments that change nothing."""
        names = [item.name for item in fields(self) if item.name.startswith("s3_")]
        return [name for name in names if getattr(self, name) is not None]


@dataclass(frozen=True)
class FederationConfig:
    """Rounds, quorum and time limits in seconds, with the documented defaults (row 5).

    Attributes:
        num_rounds: Rounds to run, exactly.
        min_clients: Clients that must answer before a round is aggregated.
        wait_time_after_min_received: Seconds to wait for more once they have.
        heart_beat_timeout: Seconds of silence after which a client is dropped.
        job_name: Name in the NVFlare job's meta.json.
        aggregator_path: Your own NVFlare `Aggregator`, as `module.Class`.
        aggregator_args: Its keyword arguments.
        workflow_path: Without effect for NVFlare's own ScatterAndGather and FedAvg; others are
            refused when the job is submitted.
        workflow_args: Without effect.

    Examples:
        >>> FederationConfig(num_rounds=3).wait_time_after_min_received
        10
    """

    num_rounds: int = 5
    min_clients: int = 1
    wait_time_after_min_received: int = 10
    heart_beat_timeout: int = 600
    job_name: str = "rt_job"
    aggregator_path: str | None = None
    aggregator_args: Mapping[str, Any] = field(default_factory=dict)
    workflow_path: str | None = None
    workflow_args: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ignored(self) -> list[str]:
        """Names of the given arguments that change nothing."""
        return [name for name in ("workflow_path", "workflow_args") if getattr(self, name)]

    @property
    def values(self) -> dict[str, Any]:
        """What `spec.federation` takes."""
        return {
            name: value
            for name in spec.FederationConfig.model_fields
            if (value := getattr(self, name, None)) is not None
        }

    @property
    def aggregator(self) -> ComponentRef | None:
        """The author's own aggregator, if one is named."""
        if self.aggregator_path is None:
            return None
        return ComponentRef(path=self.aggregator_path, args=dict(self.aggregator_args))

    def check(self) -> None:
        """Refuse a workflow of the author's own.

        Raises:
            InvalidInputError: It is not one of NVFlare's.
        """
        path = self.workflow_path
        if path is None or path.rpartition(".")[2] in STANDARD_WORKFLOWS:
            return
        fix = "average in your own aggregator (aggregator_path), or run the workflow with NVFlare"
        problem = f"{path} is a workflow of your own; fedjob's controller runs the rounds"
        raise InvalidInputError([Fault("federation.workflow_path", problem, fix)])


@dataclass(frozen=True)
class ModelConfig:
    """Which class and functions of the author's files are used, and how.

    Attributes:
        model_class: `Net` or `model_def.Net`; None: the class that is submitted.
        model_args: Its keyword arguments.
        adapter_module: The module that holds the training functions, shipped beside the model file.
        train_fn: The training function; None: `fl_train_model`, else `fl_train`.
        validate_fn: The validation function; None: `fl_validate`.

    Examples:
        >>> ModelConfig(model_class="model_def.Net", model_args={"width": 4}).class_name
        'Net'
    """

    model_class: str | type | None = None
    model_args: Mapping[str, Any] = field(default_factory=dict)
    adapter_module: str = "model_def"
    train_fn: str | None = None
    validate_fn: str | None = None

    @property
    def class_name(self) -> str | None:
        """The class's name in its module."""
        if isinstance(self.model_class, str):
            return self.model_class.rpartition(".")[2]
        return None if self.model_class is None else self.model_class.__qualname__

    @property
    def added_code(self) -> str:
        """Lines at the end of model_def.py that bind the functions where fedjob looks for them."""
        named = [name for name in (self.train_fn, self.validate_fn) if name is not None]
        lines = []
        if self.adapter_module != "model_def":
            names = ", ".join(named or ["fl_train_model"])
            lines.append(f"from {self.adapter_module} import {names}")
        if self.validate_fn not in (None, "fl_validate"):
            lines.append(f"fl_validate = {self.validate_fn}")
        return "\n".join(lines) + "\n" if lines else ""
