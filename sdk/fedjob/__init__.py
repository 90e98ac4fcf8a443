"""Federated learning on Kubernetes as one resource; the same job runs on a laptop.

A job is data, a client runs it somewhere, a run is the handle:

    job = fedjob.from_model(Net, name="digits")
    run = fedjob.LocalClient().submit(job, shards="shards/")
    weights = run.wait().load()

Names are imported when they are first used, so that `import fedjob` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fedjob.version import __version__

if TYPE_CHECKING:
    from fedjob.client.cluster import Client
    from fedjob.client.from_model import from_model
    from fedjob.client.job import FederatedJob, JobCheck
    from fedjob.client.local import LocalClient
    from fedjob.client.run import Run
    from fedjob.engines.base import Report
    from fedjob.engines.result import ModelFile, RoundLine, RunResult, RunState
    from fedjob.engines.run_status import ClientInfo, RunEvent, RunStatus
    from fedjob.errors import (
        Fault,
        FedjobError,
        FedjobWarning,
        InvalidJobError,
        RunFailedError,
        UnavailableError,
        WorkspaceError,
    )
    from fedjob.reasons import Reason
    from fedjob.spec.models.components import ComponentRef
    from fedjob.spec.models.federation import FederationConfig
    from fedjob.spec.models.run_policy import RunPolicy
    from fedjob.spec.models.server import ServerSpec
    from fedjob.spec.models.status import JobState
    from fedjob.spec.models.storage import StorageSpec
    from fedjob.spec.models.training import TrainingConfig
    from fedjob.spec.models.workers import WorkersSpec

_MODULES = {
    "fedjob.client.cluster": ("Client",),
    "fedjob.client.from_model": ("from_model",),
    "fedjob.client.job": ("FederatedJob", "JobCheck"),
    "fedjob.client.local": ("LocalClient",),
    "fedjob.client.run": ("Run",),
    "fedjob.engines.base": ("Report",),
    "fedjob.engines.result": ("ModelFile", "RoundLine", "RunResult", "RunState"),
    "fedjob.engines.run_status": ("ClientInfo", "RunEvent", "RunStatus"),
    "fedjob.errors": (
        *("Fault", "FedjobError", "FedjobWarning", "InvalidJobError", "RunFailedError"),
        *("UnavailableError", "WorkspaceError"),
    ),
    "fedjob.reasons": ("Reason",),
    "fedjob.spec.models.components": ("ComponentRef",),
    "fedjob.spec.models.federation": ("FederationConfig",),
    "fedjob.spec.models.run_policy": ("RunPolicy",),
    "fedjob.spec.models.server": ("ServerSpec",),
    "fedjob.spec.models.status": ("JobState",),
    "fedjob.spec.models.storage": ("StorageSpec",),
    "fedjob.spec.models.training": ("TrainingConfig",),
    "fedjob.spec.models.workers": ("WorkersSpec",),
}
_WHERE = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Client",
    "ClientInfo",
    "ComponentRef",
    "Fault",
    "FederatedJob",
    "FederationConfig",
    "FedjobError",
    "FedjobWarning",
    "InvalidJobError",
    "JobCheck",
    "JobState",
    "LocalClient",
    "ModelFile",
    "Reason",
    "Report",
    "RoundLine",
    "Run",
    "RunEvent",
    "RunFailedError",
    "RunPolicy",
    "RunResult",
    "RunState",
    "RunStatus",
    "ServerSpec",
    "StorageSpec",
    "TrainingConfig",
    "UnavailableError",
    "WorkersSpec",
    "WorkspaceError",
    "__version__",
    "from_model",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'fedjob' has no attribute {name!r}")
    value = getattr(import_module(_WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
