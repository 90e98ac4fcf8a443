"""Scripts written against the documented hosted service: only their import line changes.

    from fedjob.compat import ResonTech, ResonTechConfig, TrainingConfig, FederationConfig

The names and arguments are the service's; behind them are `fedjob.from_model` and the clients. New
scripts use `fedjob` itself. Nothing here adds a feature, and nothing of fedjob imports it.
"""

from fedjob.compat.builder import RTJobBuilder
from fedjob.compat.configs import FederationConfig, ModelConfig, ResonTechConfig
from fedjob.compat.service import ResonTech, RTJob
from fedjob.errors import WorkspaceError
from fedjob.spec.models.training import TrainingConfig

__all__ = [
    "FederationConfig",
    "ModelConfig",
    "RTJob",
    "RTJobBuilder",
    "ResonTech",
    "ResonTechConfig",
    "TrainingConfig",
    "WorkspaceError",
]
