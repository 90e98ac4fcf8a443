"""A local port that leads to a pod, through faults of the connection."""

import socket
from types import SimpleNamespace

import pytest

from fedjob.engines.kubernetes.access import ApiServer, Target
from fedjob.engines.kubernetes.errors import ClusterUnreachableError, ForbiddenError
from fedjob.engines.kubernetes.port_forward import PortForward
from support.cluster.fake_api_server import FakeApiServer
from support.cluster.fake_port_forward import fake_port_forward


@pytest.fixture
def pod():
    with fake_port_forward() as server:
        yield server


@pytest.fixture
def api(pod, tmp_path):
    writer = FakeApiServer()
    writer.port = pod.port
    return ApiServer(Target(kubeconfig=writer.kubeconfig(tmp_path, "secret")))


@pytest.fixture
def forward(api):
    with PortForward(api, "system", "store-0", 8333) as found:
        yield found


def connected(forward):
    return socket.create_connection(("127.0.0.1", forward.port), timeout=10)


def received(client, size):
    data = b""
    while len(data) < size and (more := client.recv(65536)):
        data += more
    return data


def test_bytes_travel_both_ways_in_order(forward, pod):
    data = bytes(range(256)) * 8000
    with connected(forward) as client:
        client.sendall(b"hello")
        assert received(client, 5) == b"hello"
        client.sendall(data)
        assert received(client, len(data)) == data
    assert pod.paths == ["/api/v1/namespaces/system/pods/store-0/portforward?ports=8333"]
    assert pod.tokens == ["Bearer secret"]


def test_connections_are_independent(forward):
    with connected(forward) as first, connected(forward) as second:
        first.sendall(b"one")
        second.sendall(b"two")
        assert received(second, 3) == b"two"
        assert received(first, 3) == b"one"


def test_broken_connection_is_closed_and_the_next_one_works(forward, pod):
    pod.cut_after = 10
    with connected(forward) as client:
        client.sendall(b"x" * 100)
        assert received(client, 1) == b""
    pod.cut_after = 0
    with connected(forward) as client:
        client.sendall(b"again")
        assert received(client, 5) == b"again"


def test_credentials_are_renewed_once(forward, pod):
    pod.refuse = [401]
    with connected(forward) as client:
        client.sendall(b"hello")
        assert received(client, 5) == b"hello"


def test_refusal_is_kept_for_who_asks(forward, pod):
    pod.refuse = [403]
    with connected(forward) as client:
        assert received(client, 1) == b""
    with pytest.raises(ForbiddenError, match="create pods/portforward"):
        forward.check()


def test_port_that_does_not_answer_is_reported(forward, pod):
    pod.error = b"connection refused"
    with connected(forward) as client:
        assert received(client, 1) == b""
    with pytest.raises(ClusterUnreachableError, match="connection refused"):
        forward.check()


def test_close_ends_what_is_open(api):
    forward = PortForward(api, "system", "store-0", 8333)
    client = connected(forward)
    client.sendall(b"hello")
    received(client, 5)
    forward.close()
    with client:
        assert received(client, 1) == b""
    with pytest.raises(ConnectionRefusedError):
        connected(SimpleNamespace(port=forward.port))
