"""Headers and meta of tasks and replies beside the weights, and the environment of processes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fedjob.errors import FedjobError
from fedjob.reasons import Reason
from fedjob.version import __version__

TASK_PROTOCOL: Final = 1
"""Number of the form of tasks and replies.

It is raised only where a worker or a server of the number before would misread one, so most
releases keep it. Releases before 0.2.0 and executors of NVFlare's own send none: they count as 1.
"""
PROTOCOL = "fedjob.protocol"
RELEASE = "fedjob.release"
"""Task and reply meta: the sender's TASK_PROTOCOL and its fedjob's version, which is only shown."""

FAILURE = "fedjob.failure"
"""Reply header: a JSON object {reason, message} in place of weights."""

BASE = "base"
"""Task meta: sha256 of the global model that the task carries."""
ANSWER_SHA256 = "sha256"
"""Reply meta: `training.weights.digest` of the weights, taken before they were kept or sent."""
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


class VersionMismatchError(FedjobError):
    """Server and worker are of releases that do not understand each other's tasks."""

    reason = Reason.VERSION_MISMATCH


def version_meta() -> dict[str, Any]:
    """What a task or a reply carries about its sender."""
    return {PROTOCOL: TASK_PROTOCOL, RELEASE: __version__}


def check_task(meta: Mapping[str, Any], worker: str) -> None:
    """Checks the number of the server that sent a task.

    Raises:
        VersionMismatchError: It is not this worker's; names both releases.
    """
    if not _fits(meta):
        raise _mismatch(worker, server=_release(meta), own=_release(version_meta()))


def check_reply(meta: Mapping[str, Any], worker: str) -> None:
    """Checks the number of the worker that sent a reply; raises as `check_task` does."""
    if not _fits(meta):
        raise _mismatch(worker, server=_release(version_meta()), own=_release(meta))


def _fits(meta: Mapping[str, Any]) -> bool:
    number = meta.get(PROTOCOL, 1)
    return type(number) is int and number == TASK_PROTOCOL


def _release(meta: Mapping[str, Any]) -> str:
    """As messages show it; the sender is not trusted, so its length is bounded."""
    release = str(meta.get(RELEASE, "before 0.2.0"))[:32]
    return f"{release} (protocol {str(meta.get(PROTOCOL, 1))[:32]})"


def _mismatch(worker: str, *, server: str, own: str) -> VersionMismatchError:
    return VersionMismatchError(
        f"{worker}: the server's fedjob is {server}, this worker's is {own}, and they do not "
        "understand each other; run both from one release: delete the job and submit it again"
    )


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
