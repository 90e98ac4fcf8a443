"""What connections may cost the server."""

from __future__ import annotations

import resource

from fedjob_runtime.server.transport_limits import (
    MAX_MESSAGE_BYTES,
    communication,
    raise_file_limit,
)


def test_the_server_s_limits() -> None:
    settings = communication(50)
    options = dict(settings["grpc"]["options"])
    assert settings["grpc"]["max_workers"] >= 2 * 2 * 50
    assert settings["streaming_max_blob_size"] == MAX_MESSAGE_BYTES < 1 << 30
    assert options["grpc.max_receive_message_length"] == MAX_MESSAGE_BYTES
    assert options["grpc.server_handshake_timeout_ms"] <= 20_000


def test_the_limit_of_open_files_is_raised() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, before[0]), before[1]))
    try:
        assert raise_file_limit() == before[1]
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
