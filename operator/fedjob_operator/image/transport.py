"""How HTTP requests about images travel: our own trust store, and a timeout on each."""

from __future__ import annotations

import ssl
from typing import Any

import requests
from requests.adapters import HTTPAdapter

TIMEOUT = (5.0, 60.0)
"""Seconds to connect, and between two pieces of the answer."""


class BoundedAdapter(HTTPAdapter):
    """Transport with a timeout on every request and our own trust store."""

    def __init__(self, context: ssl.SSLContext | None, *, connections: int = 8) -> None:
        """Connects when first used.

        Args:
            context: Certificates to trust; None: the public ones.
            connections: Kept open, per host.
        """
        self._context = context
        super().__init__(pool_maxsize=connections)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Pass the trust store to the connections."""
        if self._context is not None:
            kwargs["ssl_context"] = self._context
        super().init_poolmanager(*args, **kwargs)  # type: ignore[no-untyped-call,unused-ignore]

    def close(self) -> None:
        """Close all sockets at once."""
        # urllib3 leaves the sockets of its pools to the garbage collector; after an error the
        # traceback holds the pool, so that may take long.
        pools = self.poolmanager.pools
        for key in pools.keys():  # noqa: SIM118 (not a dict: it cannot be iterated)
            pool = pools.get(key)
            if pool is not None:
                pool.close()
        super().close()  # type: ignore[no-untyped-call,unused-ignore]

    def send(self, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a request, with the timeout where the caller gives none."""
        if kwargs.get("timeout") is None:
            kwargs["timeout"] = TIMEOUT
        return super().send(*args, **kwargs)
