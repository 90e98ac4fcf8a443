"""A fake API server, and FederatedJobs of its namespace `team`."""

from __future__ import annotations

import pytest

from fedjob.engines.kubernetes.access import ApiServer, Target
from fedjob.engines.kubernetes.jobs import JobsApi
from support.cluster.fake_api_server import fake_api_server


@pytest.fixture
def fake():
    with fake_api_server() as server:
        yield server


@pytest.fixture
def jobs(fake, tmp_path):
    folder = tmp_path / "kube"
    folder.mkdir()
    api = ApiServer(Target(kubeconfig=fake.kubeconfig(folder)), sleep=lambda _: None, patience=0.0)
    return JobsApi(api, sleep=lambda _: None)
