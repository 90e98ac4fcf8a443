"""A component of every worker: the user's own executor, too, gets tensors (row 32)."""

from __future__ import annotations

import fedjob_runtime.processes.torch_import  # noqa: F401 (first: see there)  # isort: skip

from nvflare.app_opt.pt.decomposers import TensorDecomposer
from nvflare.fuel.utils import fobs
from nvflare.widgets.widget import Widget

from fedjob_runtime.processes.children import exit_when_orphaned


class TensorExchange(Widget):
    """Registers how tensors travel, and ends the job process when NVFlare's client is gone."""

    def __init__(self) -> None:
        super().__init__()
        fobs.register(TensorDecomposer)
        exit_when_orphaned()
