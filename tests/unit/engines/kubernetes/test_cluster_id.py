"""The id of a cluster is the uid of its namespace kube-system."""

from pathlib import Path

import pytest

from fedjob.engines.kubernetes.access import ApiServer, Target
from fedjob.engines.kubernetes.cluster_id import read_cluster_id
from fedjob.errors import FedjobError
from support.cluster.fake_api_server import fake_api_server


def test_id_is_the_uid_of_kube_system(tmp_path: Path) -> None:
    with fake_api_server() as server:
        server.routes["/api/v1/namespaces/kube-system"] = {"metadata": {"uid": "uid-1"}}
        assert read_cluster_id(ApiServer(Target(kubeconfig=server.kubeconfig(tmp_path)))) == "uid-1"


def test_namespace_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with fake_api_server() as server:
        api = ApiServer(Target(kubeconfig=server.kubeconfig(tmp_path)))
        with pytest.raises(FedjobError, match="kube-system"):
            read_cluster_id(api)
