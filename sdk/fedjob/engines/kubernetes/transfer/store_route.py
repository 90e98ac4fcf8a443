"""The way to the store of an offer: its own address, or a tunnel through the API server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from fedjob.engines.kubernetes.access import ApiServer
from fedjob.engines.kubernetes.port_forward import PortForward
from fedjob.engines.kubernetes.transfer.errors import StoreAnswerError
from fedjob.engines.kubernetes.transfer.store_http import StoreHttp
from fedjob.protocol.transfer import Tunnel


@contextmanager
def store_route(
    api: ApiServer,
    tunnel: Tunnel | None,
    *,
    parallel: int,
    stopped: threading.Event | None = None,
) -> Iterator[StoreHttp]:
    """Connections to the store, and the tunnel if one is needed, until the block ends.

    Args:
        api: The cluster.
        tunnel: As the offer names it; a client inside the cluster does not need it.
        parallel: Connections at once.
        stopped: When set, no request is tried again.

    Raises:
        FedjobError: In the block, in place of a store that does not answer: what keeps the
            tunnel from it, such as ForbiddenError.
    """
    if tunnel is None or not api.context:
        with StoreHttp(parallel=parallel, stopped=stopped) as http:
            yield http
        return
    with (
        PortForward(api, tunnel.namespace, tunnel.pod, tunnel.port) as forward,
        StoreHttp(parallel=parallel, local_port=forward.port, stopped=stopped) as http,
    ):
        try:
            yield http
        except StoreAnswerError:
            forward.check()
            raise
