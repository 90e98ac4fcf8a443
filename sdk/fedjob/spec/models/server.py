"""`spec.server`: the pod that aggregates."""

from __future__ import annotations

from fedjob.spec.models.placement import Placement


class ServerSpec(Placement):
    """The pod of the server; it holds the global model in memory, and needs no GPU."""
