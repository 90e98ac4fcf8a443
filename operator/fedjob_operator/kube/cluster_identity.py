"""The id of this cluster, which marks its jobs in a store that several clusters may use."""

from __future__ import annotations

from fedjob.errors import Fault, InvalidInputError
from fedjob_operator.kube.client import ApiError, Cluster

SYSTEM_NAMESPACE = "kube-system"
"""Every cluster has it for its whole life, so its uid identifies the cluster."""


async def read_cluster_id(cluster: Cluster, given: str) -> str:
    """The id from the settings, else the uid of the namespace kube-system.

    Args:
        cluster: The API server.
        given: The id from the settings; empty where they have none.

    Raises:
        InvalidInputError: There is none in the settings, and the namespace may not be read.
        ApiError: The API server does not answer.
    """
    if given:
        return given
    try:
        found = await cluster.get("v1", "Namespace", "", SYSTEM_NAMESPACE)
    except ApiError as error:
        if not error.refused:
            raise
        found = None
    uid = str(found["metadata"].get("uid") or "") if found is not None else ""
    if not uid:
        fix = (
            "allow the operator to get the namespace kube-system, or choose an id that no other "
            "cluster has (the chart's clusterId)"
        )
        problem = f"is not set, and the namespace {SYSTEM_NAMESPACE} may not be read"
        raise InvalidInputError([Fault("FEDJOB_CLUSTER_ID", problem, fix)])
    return uid
