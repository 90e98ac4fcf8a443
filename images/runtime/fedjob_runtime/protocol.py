"""Headers and meta of tasks and replies beside the weights, and the environment of processes."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FAILURE = "fedjob.failure"
"""Reply header: a JSON object {reason, message} in place of weights."""

BASE = "base"
"""Task meta: sha256 of the global model that the task carries."""
SAMPLES = "samples"
WARNINGS = "warnings"
"""Reply meta beside the weights."""
PARTIAL = "partial"
"""Reply meta: true where the weights may be a part of the model; the rest stays as it is."""

STATE_FOLDER = "state"
"""Below a worker's home: the author's files that live from round to round (env STATE_DIR)."""

GENERATED_MODULE = "train_loop"
"""The adapter module of form C in the job folder."""

ENV_HANDOVER = "FEDJOB_HANDOVER"
"""Server: the folder that supervisor and job process share, see `server.ipc`."""
ENV_JOB_FOLDER = "FEDJOB_JOB_FOLDER"
ENV_HOME = "FEDJOB_HOME"
ENV_JOB_ID = "FEDJOB_JOB_ID"
ENV_WORKER = "FEDJOB_WORKER"
ENV_DEVICE = "FEDJOB_DEVICE"
ENV_SHARD = "FEDJOB_SHARD"
"""Worker: the file name of its shard."""
ENV_KEEP_FILES = "FEDJOB_KEEP_FILES"
"""Worker: a KeptFiles as JSON; absent where nothing is kept."""


def env_text(name: str) -> str:
    """The environment variable `name`, as the supervisor or the worker command set it.

    Raises:
        RuntimeError: This process was not started by fedjob.
    """
    value = os.environ.get(name)
    if not value:
        msg = f"{name} is not set: start this through fedjob-server or fedjob-worker"
        raise RuntimeError(msg)
    return value


def env_path(name: str) -> Path:
    """The folder passed down in `name`; raises as `env_text` does."""
    return Path(env_text(name))


def failure_header(reason: str, message: str) -> str:
    """The value of the FAILURE header."""
    return json.dumps({"reason": reason, "message": message})


def read_failure(header: object) -> tuple[str, str] | None:
    """(reason, message) of a FAILURE header; None without one.

    A worker is not trusted: a header that `failure_header` did not make becomes text.
    """
    if header is None:
        return None
    try:
        value = json.loads(str(header))
        return str(value["reason"])[:64], str(value["message"])[:4000]
    except (ValueError, KeyError, TypeError):
        return "TrainingFailed", str(header)[:4000]


@dataclass(frozen=True, slots=True)
class JobSettings:
    """The executor's arguments in the job folder: what is trained, and how."""

    data_root: str
    adapter_module: str
    train_fn: str | None
    validate_fn: str | None
    class_name: str | None
    model_args: dict[str, Any]
    hyperparameters: dict[str, Any]
    partial: bool = False

    @classmethod
    def read(cls, job_folder: Path) -> JobSettings | None:
        """Reads app/config/config_fed_client.json.

        None where the author's own executor takes other arguments.
        """
        config = json.loads((job_folder / "app/config/config_fed_client.json").read_text())
        arguments = config["executors"][0]["executor"].get("args", {})
        try:
            return cls(**arguments)
        except TypeError:
            return None
