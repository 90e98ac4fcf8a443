"""GET over https with limits: checked addresses, checked redirects, bounded size and time."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from fedjob_runtime.training.data.addresses import Endpoint, resolve
from fedjob_runtime.training.errors import (
    ImageError,
    ImageInvalidError,
    ImageRefusedError,
    ImageUnavailableError,
)

MAX_BYTES = 20 * 1024 * 1024
"""Of one image's body."""
MAX_REDIRECTS = 5
TRIES = 3
"""Of one address, where the server is busy or the connection breaks."""
FIRST_WAIT = 0.5
"""Seconds before the second try; doubled after."""
TIMEOUT = 10.0
"""Seconds to connect, and between two pieces of an answer."""
DEADLINE = 60.0
"""Seconds for one try as a whole: a server that drips a byte at a time is cut off."""

_CHUNK = 64 * 1024
_REDIRECTS = (301, 302, 303, 307, 308)
_BUSY = (408, 425, 429, 500, 502, 503, 504)
_CHECK = "check the address in a browser, or put the image into the shard"


class _BusyError(ImageUnavailableError):
    """Worth another try."""


def parse_url(text: str) -> str:
    """Checks an address and gives its plain form: no fragment, ASCII only.

    Raises:
        ImageRefusedError: It is not https, has a user or password in it, or no host.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
        host = (parts.hostname or "").encode("idna").decode()
    except (ValueError, UnicodeError) as error:
        raise ImageRefusedError(f"{text!r} is not an address: {error}"[:300], _CHECK) from error
    if parts.scheme != "https":
        raise ImageRefusedError(
            f"{text} is not https://", "use https://, or put the image into the shard"
        )
    if not host or parts.username is not None or parts.password is not None or port == 0:
        raise ImageRefusedError(
            f"an address of an image has a host and no user or password: https://{host or '...'}",
            _CHECK,
        )
    where = f"[{host}]" if ":" in host else host
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    query = quote(parts.query, safe="/%:@!$&'()*+,;=~-._?")
    return urlunsplit(("https", where if port is None else f"{where}:{port}", path, query, ""))


def fetch(
    url: str,
    *,
    allow_hosts: frozenset[str] = frozenset(),
    max_bytes: int = MAX_BYTES,
    deadline: float = DEADLINE,
) -> bytes:
    """Downloads a body.

    Args:
        url: As `parse_url` gives it.
        allow_hosts: Hosts that may have private addresses.
        max_bytes: The body's limit, enforced while it is read, whatever the server announces.
        deadline: Seconds for one try. Certificates are checked against the system's authorities, or
            those of SSL_CERT_FILE.

    Raises:
        ImageRefusedError: A private address, a redirect to one or away from https, too large.
        ImageUnavailableError: No good answer after some tries.
    """
    wait = FIRST_WAIT
    for _ in range(TRIES - 1):
        try:
            return _follow(url, allow_hosts, max_bytes, deadline)
        except _BusyError:
            time.sleep(wait)
            wait *= 2
    return _follow(url, allow_hosts, max_bytes, deadline)


def _follow(url: str, allow_hosts: frozenset[str], max_bytes: int, deadline: float) -> bytes:
    for _ in range(MAX_REDIRECTS + 1):
        found = _get(url, allow_hosts, max_bytes, deadline)
        if isinstance(found, bytes):
            return found
        # A redirect is an address of the server's choice: every check is made again.
        url = parse_url(urljoin(url, found))
    raise ImageRefusedError(f"{url}: more than {MAX_REDIRECTS} redirects", _CHECK)


def _get(url: str, allow_hosts: frozenset[str], max_bytes: int, deadline: float) -> bytes | str:
    """One request: the body, or where it redirects to."""
    parts = urlsplit(url)
    host, port = str(parts.hostname), parts.port or 443
    endpoints = resolve(host, port, allow_hosts)
    target = urlunsplit(("", "", parts.path, parts.query, ""))
    try:
        with _connected(host, endpoints, deadline) as connection:
            headers = {
                "Host": parts.netloc,
                "User-Agent": "fedjob",
                "Accept": "image/*",
                "Accept-Encoding": "identity",
                "Connection": "close",
            }
            connection.request("GET", target, headers=headers)
            return _answer(connection.getresponse(), url, max_bytes)
    except ImageError:
        raise
    except ssl.SSLCertVerificationError as error:
        raise ImageUnavailableError(
            f"{url}: its certificate is not trusted: {error.verify_message}",
            "use a host with a valid certificate, or name its authority in SSL_CERT_FILE",
        ) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _BusyError(f"{url}: {type(error).__name__}: {error}"[:300], _CHECK) from error


@contextmanager
def _connected(
    host: str, endpoints: list[Endpoint], deadline: float
) -> Iterator[http.client.HTTPConnection]:
    """An HTTP connection over TLS to one of the checked addresses, cut at the deadline."""
    context = ssl.create_default_context()
    expired = threading.Event()
    late = f"not done after {deadline:g} seconds"
    with context.wrap_socket(
        _connect(endpoints),
        server_hostname=host,
        do_handshake_on_connect=False,
        suppress_ragged_eofs=False,  # a cut connection is an error, not the end of the body
    ) as secure:
        timer = threading.Timer(deadline, _cut, (secure, expired))
        timer.daemon = True
        timer.start()
        try:
            secure.do_handshake()
            connection = http.client.HTTPConnection(host)
            connection.auto_open = 0  # it must never look the name up itself
            connection.sock = secure
            yield connection
        except (OSError, http.client.HTTPException) as error:
            if expired.is_set():
                raise TimeoutError(late) from error
            raise
        finally:
            timer.cancel()
        # A reader that is cut off may take it for the end of a body without a length.
        if expired.is_set():
            raise TimeoutError(late)


def _connect(endpoints: list[Endpoint]) -> socket.socket:
    failure: OSError | None = None
    for endpoint in endpoints:
        connection = socket.socket(endpoint.family, socket.SOCK_STREAM)
        connection.settimeout(TIMEOUT)
        try:
            connection.connect(endpoint.address)
        except OSError as error:
            connection.close()
            failure = error
            continue
        return connection
    raise failure or OSError("no address")


def _cut(connection: ssl.SSLSocket, expired: threading.Event) -> None:
    """Wakes a reader from another thread: its read fails."""
    expired.set()
    # The plain socket's shutdown: SSLSocket's own would let the reader see a regular end.
    with contextlib.suppress(OSError):  # already closed
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


def _answer(response: http.client.HTTPResponse, url: str, max_bytes: int) -> bytes | str:
    status = response.status
    location = response.getheader("Location")
    if status in _REDIRECTS and location:
        return location
    if status in _BUSY:
        raise _BusyError(f"{url}: the server answered {status} {response.reason}", _CHECK)
    if status != 200:
        raise ImageUnavailableError(
            f"{url}: the server answered {status} {response.reason}", _CHECK
        )
    if response.getheader("Content-Encoding", "identity") != "identity":
        raise ImageInvalidError(f"{url}: the server sends it compressed, unasked", _CHECK)
    announced = response.length  # None where chunked
    if announced is not None and announced > max_bytes:
        raise _oversized(url, max_bytes)
    body = bytearray()
    while piece := response.read(min(_CHUNK, max_bytes + 1 - len(body))):
        body += piece
        if len(body) > max_bytes:
            raise _oversized(url, max_bytes)
    if announced is not None and len(body) != announced:
        raise _BusyError(f"{url}: only {len(body)} of {announced} bytes came", _CHECK)
    return bytes(body)


def _oversized(url: str, max_bytes: int) -> ImageRefusedError:
    return ImageRefusedError(
        f"{url} is larger than {max_bytes} bytes",
        "make the image smaller, or put it into the shard",
    )
