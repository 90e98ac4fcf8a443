"""The engine suite on the cluster, with an operator of the tests' own."""

from __future__ import annotations

from pathlib import Path

import pytest

import fedjob
from e2e.cluster_access.operator_deployment import OperatorDeployment
from support.sdk.engine_suite import EngineSuite

pytestmark = pytest.mark.e2e


class TestKubernetesEngine(EngineSuite):
    """In the namespace of the tests' operator."""

    PATIENCE = 600.0

    @pytest.fixture(scope="class")
    @classmethod
    def client(cls, deployment: OperatorDeployment) -> fedjob.Client:
        return fedjob.Client(
            namespace=deployment.jobs, kubeconfig=Path(deployment.env["KUBECONFIG"])
        )
