"""The way to the store: direct, or through a tunnel that explains itself."""

import pytest

from fedjob.engines.kubernetes.access import ApiServer, Target
from fedjob.engines.kubernetes.errors import ForbiddenError
from fedjob.engines.kubernetes.transfer.errors import StoreAnswerError
from fedjob.engines.kubernetes.transfer.store_route import store_route
from fedjob.protocol.transfer import Tunnel
from support.cluster.fake_api_server import FakeApiServer
from support.cluster.fake_port_forward import fake_port_forward
from support.cluster.fake_store import fake_store

TUNNEL = Tunnel(namespace="system", pod="store-0", port=8333)


def api_at(port, folder):
    writer = FakeApiServer()
    writer.port = port
    return ApiServer(Target(kubeconfig=writer.kubeconfig(folder)))


def test_store_is_reached_directly_without_a_tunnel(tmp_path):
    with fake_store() as store:
        store.objects["a"] = b"x"
        with (
            store_route(api_at(1, tmp_path), None, parallel=1) as http,
            http.get(store.url("a")) as answer,
        ):
            assert answer.read() == b"x"


def test_client_in_the_cluster_needs_no_tunnel(tmp_path):
    api = api_at(1, tmp_path)
    api.context = ""
    with fake_store() as store:
        store.objects["a"] = b"x"
        with (
            store_route(api, TUNNEL, parallel=1) as http,
            http.get(store.url("a")) as answer,
        ):
            assert answer.read() == b"x"


def test_what_keeps_the_tunnel_from_the_store_is_the_error(tmp_path, monkeypatch):
    module = "fedjob.engines.kubernetes.transfer.store_http"
    monkeypatch.setattr(f"{module}.ATTEMPTS", 2)
    with fake_port_forward() as pod:
        pod.refuse = [403] * 10
        with (
            pytest.raises(ForbiddenError, match="create pods/portforward"),
            store_route(api_at(pod.port, tmp_path), TUNNEL, parallel=1) as http,
            http.get("http://store.system.svc:8333/b/a?x=1"),
        ):
            pass


def test_store_that_refuses_behind_a_tunnel_is_the_error_itself(tmp_path):
    with (
        fake_port_forward() as pod,
        pytest.raises(StoreAnswerError, match="refuses"),
        store_route(api_at(pod.port, tmp_path), TUNNEL, parallel=1),
    ):
        raise StoreAnswerError("the store refuses")
