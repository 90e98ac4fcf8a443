"""The headless Service: workers reach the server, and verify its certificate, under its name."""

from __future__ import annotations

from fedjob.spec.models.job import FederatedJob
from fedjob_operator.naming import COMPONENT, JOB, SERVER, Body, metadata_of, sealed, server_name
from fedjob_operator.resources.pod_contract import FL_PORT, HTTP_PORT


def service(job: FederatedJob) -> Body:
    """The Service; it resolves to a server that is not ready, because workers wait for it."""
    return sealed(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata_of(job, server_name(job.metadata.name)),
            "spec": {
                "clusterIP": "None",
                "publishNotReadyAddresses": True,
                "selector": {JOB: job.metadata.name, COMPONENT: SERVER},
                "ports": [
                    {"name": "fl", "port": FL_PORT, "targetPort": FL_PORT, "protocol": "TCP"},
                    {"name": "http", "port": HTTP_PORT, "targetPort": HTTP_PORT, "protocol": "TCP"},
                ],
            },
        }
    )
