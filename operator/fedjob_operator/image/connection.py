"""One registry over HTTP: TLS, authentication, patience, and errors with a reason.

oras brings the session and the authentication flows. Its `do_request` is not used: it keeps one
bearer token whatever scope the next request needs, tries the token flow on a basic challenge, and
has no time limit.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urljoin, urlsplit

import oras.auth
import oras.provider
import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from fedjob_operator.image.credentials import Credentials
from fedjob_operator.image.errors import (
    ImageBuildFailedError,
    ImageRequestInvalidError,
    RegistryRefusedError,
    RegistryUnreachableError,
)

_CONNECT_SECONDS, _READ_SECONDS = 5.0, 60.0
_PAUSES = (0.2, 1.0)
"""Seconds between attempts; one more attempt than pauses."""
_BUSY = {
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}
_CLOSED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach a registry, and as whom.

    Attributes:
        credentials: User and password, or None for anonymous.
        secret: Where the credentials came from, for errors; empty where there are none.
        ca_pem: Certificates to trust beside the public ones, as PEM text.
        insecure: Plain HTTP.
    """

    credentials: Credentials | None = None
    secret: str = ""
    ca_pem: str | None = None
    insecure: bool = False


class Connection:
    """Requests to one registry; keeps its authorization. Several threads may use one."""

    def __init__(self, host: str, access: Access) -> None:
        """Opens nothing yet.

        Args:
            host: Host and port of the registry's API.
            access: How to reach it.

        Raises:
            ImageRequestInvalidError: `ca_pem` holds no certificate.
        """
        self.host = host
        self._access = access
        self.root = f"{'http' if access.insecure else 'https'}://{host}"
        registry = oras.provider.Registry(hostname=host, insecure=access.insecure)
        self._session: requests.Session = registry.session
        self._session.mount("https://", _PatientAdapter(_trust(access.ca_pem)))
        self._session.mount("http://", _PatientAdapter(None))
        self._token = registry.auth
        self._basic = oras.auth.get_auth_backend("basic", self._session, access.insecure)
        if access.credentials is not None:
            for backend in (self._token, self._basic):
                backend.set_basic_auth(access.credentials.username, access.credentials.password)
        self._authorization: str | None = None
        self._authenticating = threading.Lock()

    def close(self) -> None:
        """Closes the sockets."""
        self._session.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        data: Any = None,
        stream: bool = False,
        expect: tuple[int, ...] = (HTTPStatus.OK,),
    ) -> requests.Response:
        """Sends one request, authenticated; repeats it while the registry is away or busy.

        Args:
            method: HTTP method.
            path: Path below the root, or the address that the registry gave.
            headers: Further headers.
            data: Body; bytes are sent again on a repetition, a stream is sent once.
            stream: Leave the answer's body unread.
            expect: Statuses that are an answer.

        Raises:
            RegistryRefusedError: 401 or 403, with our credentials.
            RegistryUnreachableError: No answer, or 429 and 5xx, over all attempts.
            ImageBuildFailedError: Any other status.
        """
        url = self._address(path)
        pauses = list(_PAUSES) if data is None or isinstance(data, bytes) else []
        while True:
            try:
                response = self._send(method, url, dict(headers or {}), data, stream)
            except requests.exceptions.SSLError as error:
                raise self._untrusted(error) from error
            except (requests.exceptions.RequestException, HTTPError) as error:
                if not pauses:
                    raise self._away(f"it does not answer ({_innermost(error)})") from error
            else:
                if response.status_code in expect:
                    return response
                problem = _told(response)
                response.close()
                if response.status_code in _CLOSED:
                    raise self._refused(f"it answers {problem} to {method} {urlsplit(url).path}")
                if response.status_code not in _BUSY:
                    raise ImageBuildFailedError(
                        self.host,
                        f"it answers {problem} to {method} {urlsplit(url).path}",
                        "check spec.image.base and spec.image.repository",
                    )
                if not pauses:
                    raise self._away(f"it answers {problem}")
            time.sleep(pauses.pop(0))

    def _address(self, path: str) -> str:
        url = urljoin(self.root, path)
        # Behind a proxy that ends TLS, registries name themselves by http.
        if urlsplit(url).netloc == self.host:
            return urlsplit(url)._replace(scheme=urlsplit(self.root).scheme).geturl()
        return url

    def _send(
        self, method: str, url: str, headers: dict[str, str], data: Any, stream: bool
    ) -> requests.Response:
        if urlsplit(url).netloc != self.host:
            return self._once(method, url, headers, data, stream)
        sent = self._authorization
        if sent is not None:
            headers["Authorization"] = sent
        response = self._once(method, url, headers, data, stream)
        if response.status_code not in _CLOSED:
            return response
        # A token may be too old, or for another scope: the challenge names the one needed.
        authorization = self._authenticate(response)
        once_only = data is not None and not isinstance(data, bytes)
        if once_only or authorization is None or authorization == sent:
            return response
        response.close()
        return self._once(method, url, {**headers, "Authorization": authorization}, data, stream)

    def _once(
        self, method: str, url: str, headers: Mapping[str, str], data: Any, stream: bool
    ) -> requests.Response:
        return self._session.request(
            method, url, headers=headers, data=data, stream=stream, auth=_leave_headers
        )

    def _authenticate(self, response: requests.Response) -> str | None:
        """Takes up a challenge with oras; the header that answers it, or None."""
        scheme, _, rest = response.headers.get("Www-Authenticate", "").partition(" ")
        if scheme.lower() == "basic" and self._access.credentials is not None:
            backend = self._basic
        elif scheme.lower() == "bearer" and "realm=" in rest:
            backend = self._token
        else:
            return None
        with self._authenticating:  # oras keeps the token between forgetting and asking
            headers, _ = backend.authenticate_request(response, {}, refresh=True)
        authorization: str | None = headers.get("Authorization")
        if authorization is not None:
            self._authorization = authorization
        return authorization

    def _refused(self, problem: str) -> RegistryRefusedError:
        whose = "as nobody" if self._access.credentials is None else "with our credentials"
        return RegistryRefusedError(self.host, f"{problem} {whose}", self._access.secret)

    def _away(self, problem: str) -> RegistryUnreachableError:
        return RegistryUnreachableError(
            self.host,
            problem,
            "check the host in spec.image.repository and spec.image.base, and that the operator "
            "can reach it",
        )

    def _untrusted(self, error: requests.exceptions.SSLError) -> RegistryUnreachableError:
        return RegistryUnreachableError(
            self.host,
            f"TLS fails ({_innermost(error)})",
            "give the operator the CA that signed the registry's certificate, or mark the "
            "registry insecure where it speaks plain HTTP",
        )


class _PatientAdapter(HTTPAdapter):
    """Transport with a time limit on every request and our own trust."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self._context = context
        super().__init__(pool_maxsize=8)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        if self._context is not None:
            kwargs["ssl_context"] = self._context
        super().init_poolmanager(*args, **kwargs)  # type: ignore[no-untyped-call,unused-ignore]

    def close(self) -> None:
        # urllib3 drops its pools and leaves their sockets to the garbage collector; after an
        # error, whose traceback holds the pool, that may take long.
        pools = self.poolmanager.pools
        for key in pools.keys():  # noqa: SIM118 (no dict: it cannot be iterated)
            pool = pools.get(key)
            if pool is not None:
                pool.close()
        super().close()  # type: ignore[no-untyped-call,unused-ignore]

    def send(self, *args: Any, **kwargs: Any) -> requests.Response:
        if kwargs.get("timeout") is None:
            kwargs["timeout"] = (_CONNECT_SECONDS, _READ_SECONDS)
        return super().send(*args, **kwargs)


def _trust(ca_pem: str | None) -> ssl.SSLContext | None:
    """The public certificates and, beside them, the given ones."""
    if ca_pem is None:
        return None
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(cadata=ca_pem)
    except (ssl.SSLError, ValueError) as error:
        raise ImageRequestInvalidError(
            "registry CA", "it holds no certificate in PEM form", "paste the CA's .crt file"
        ) from error
    return context


def _leave_headers(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keeps requests from putting what a .netrc says over our header."""
    return request


def _told(response: requests.Response) -> str:
    """Status and the registry's own words, such as `401 UNAUTHORIZED: authentication required`."""
    try:
        first = response.json()["errors"][0]
        words = f"{first.get('code')}: {first.get('message')}"
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        words = response.reason or ""
    return f"{response.status_code} {words}".strip()[:300]


def _innermost(error: BaseException) -> str:
    """The cause in few words: urllib3 wraps it three times."""
    seen = error
    while True:
        inner = seen.__cause__ or seen.__context__ or getattr(seen, "reason", None)
        if not isinstance(inner, BaseException) or inner is seen:
            return (str(seen) or type(seen).__name__)[:200]
        seen = inner
