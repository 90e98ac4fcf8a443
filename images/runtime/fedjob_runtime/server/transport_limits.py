"""Limits of the server against unauthenticated peers: connections, messages, open files.

Without a certificate of the job's authority the TLS handshake fails. These limits bound what a peer
costs until then; they are set before NVFlare starts.
"""

from __future__ import annotations

import resource
from typing import Any

MAX_MESSAGE_BYTES = 256 << 20
"""Of one message that NVFlare's parent takes; NVFlare's default is 4 GiB. Weights go to the job
processes, in pieces; the largest that the parent sees is a job folder."""
HANDSHAKE_SECONDS = 10
"""gRPC's default is 120."""
STREAMS_PER_WORKER = 4
"""gRPC holds one thread for each connection with a certificate: a worker has two, its client and
its job process, and as many again while a segment gives way to the next."""
SPARE_STREAMS = 100
"""NVFlare's default for all together."""


def communication(workers: int) -> dict[str, Any]:
    """The content of NVFlare's comm_config.json for a server of so many workers."""
    return {
        "streaming_max_blob_size": MAX_MESSAGE_BYTES,
        "grpc": {
            "max_workers": SPARE_STREAMS + STREAMS_PER_WORKER * workers,
            "options": [
                ["grpc.max_send_message_length", MAX_MESSAGE_BYTES],
                ["grpc.max_receive_message_length", MAX_MESSAGE_BYTES],
                ["grpc.server_handshake_timeout_ms", HANDSHAKE_SECONDS * 1000],
            ],
        },
    }


def raise_file_limit() -> int:
    """Raises this process's limit of open files to what it may; its children inherit it.

    A thousand idle connections would use up the usual 1,024: workers could no longer connect, and
    the server's own files could not be opened.

    Returns:
        The limit now.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
