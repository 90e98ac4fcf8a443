"""The id of a cluster, which marks its jobs in a store that several clusters may use."""

from __future__ import annotations

from fedjob.engines.kubernetes.access import ApiServer
from fedjob.engines.kubernetes.errors import Request

SYSTEM_NAMESPACE = "kube-system"
"""Every cluster has it for its whole life, so its uid identifies the cluster."""


def read_cluster_id(api: ApiServer) -> str:
    """The uid of the namespace kube-system, which the operator takes for the id by default.

    Raises:
        ForbiddenError: The user may not read that namespace.
        FedjobError: The cluster does not answer, or not as expected.
    """
    path = f"/api/v1/namespaces/{SYSTEM_NAMESPACE}"
    found = api.json("GET", path, Request("get", "namespaces", name=SYSTEM_NAMESPACE))
    return str(found["metadata"]["uid"])
