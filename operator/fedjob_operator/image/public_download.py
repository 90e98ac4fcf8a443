"""GET of a public https address that a registry named, without a way into the cluster."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import requests

from fedjob.public_addresses import is_public
from fedjob_operator.image.errors import RegistryNotAllowedError, RegistryUnreachableError
from fedjob_operator.image.tls_trust import trusted_context
from fedjob_operator.image.transport import BoundedAdapter


def get_public(
    url: str, headers: Mapping[str, str], ca_pem: str | None = None
) -> requests.Response:
    """Asks an address of the public internet; the response's body is not read yet.

    The name is resolved once, and the connection goes to the address that was checked: a second
    look-up could give another.

    Args:
        url: An https URL.
        headers: Headers without credentials.
        ca_pem: Certificates to trust in addition to the public ones.

    Raises:
        RegistryNotAllowedError: Not https, or an address that is not public.
        RegistryUnreachableError: The name does not exist.
        requests.exceptions.RequestException: No answer.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "https" or not host:
        raise RegistryNotAllowedError(parts.netloc or url, "a registry redirects a blob there")
    address = _address(host, parts.port or 443)
    literal = f"[{address}]" if ":" in address else address
    pinned = parts._replace(netloc=f"{literal}:{parts.port or 443}").geturl()
    session = requests.Session()
    session.trust_env = False
    session.mount("https://", _PinnedAdapter(host, trusted_context(ca_pem)))
    return session.get(
        pinned,
        # Nobody closes the session, so it must keep no connection.
        headers={**headers, "Host": parts.netloc, "Connection": "close"},
        stream=True,
        allow_redirects=False,
    )


def _address(host: str, port: int) -> str:
    try:
        found = [str(e[4][0]) for e in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError) as error:
        raise RegistryUnreachableError(
            host, f"its name cannot be resolved ({error})", "check DNS"
        ) from error
    private = sorted({text for text in found if not is_public(text)})
    if private or not found:
        problem = f"a registry redirects a blob there, to {', '.join(private)}, which is not public"
        raise RegistryNotAllowedError(host, problem)
    return found[0]


class _PinnedAdapter(BoundedAdapter):
    """Connects to the address in the URL, and expects the certificate of `host`."""

    def __init__(self, host: str, context: ssl.SSLContext | None) -> None:
        self._host = host
        super().__init__(context, connections=1)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        names = {"server_hostname": self._host, "assert_hostname": self._host}
        super().init_poolmanager(*args, **kwargs, **names)
