"""The server's Service."""

from __future__ import annotations

from fedjob_operator.resources.services import service
from support.operator.samples import (
    a_job,
)


def test_service_resolves_to_a_server_that_is_not_ready() -> None:
    spec = service(a_job())["spec"]
    assert spec["clusterIP"] == "None"
    assert spec["publishNotReadyAddresses"] is True
    assert [port["port"] for port in spec["ports"]] == [8002, 8080]
