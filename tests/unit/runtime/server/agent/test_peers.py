"""Connections to a port, as the kernel lists them."""

from __future__ import annotations

import socket
from pathlib import Path

from fedjob_runtime.server.agent.peers import connected


def test_accepted_and_waiting_connections_count_and_closed_ones_do_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert connected(port) == 0
        with socket.create_connection(("127.0.0.1", port)):
            assert connected(port) == 1, "nobody has accepted it yet"
            accepted, _ = server.accept()
            assert connected(port) == 1
            accepted.close()
        assert connected(port) == 0


def test_machine_without_ipv6(tmp_path: Path) -> None:
    (tmp_path / "tcp").write_text(
        "  sl  local_address rem_address   st tx_queue\n"
        "   0: 0100007F:1F90 0100007F:D431 01 00000000:00000000\n"
        "   1: 00000000:1F90 00000000:0000 0A 00000000:00000000\n"
    )
    assert connected(8080, tmp_path) == 1
    assert connected(54321, tmp_path) == 0
