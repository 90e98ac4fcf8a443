"""HTTP requests to one registry: TLS, authentication, timeouts, retries, and errors with a reason.

docs/contributing/decisions/009 gives the reasons for not using an OCI client library.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from urllib3.exceptions import HTTPError

from fedjob.backoff import Backoff
from fedjob_operator.image.bounded_content import bounded_content
from fedjob_operator.image.credentials import Credentials
from fedjob_operator.image.errors import (
    ImageBuildFailedError,
    RegistryNotAllowedError,
    RegistryRefusedError,
    RegistryUnreachableError,
)
from fedjob_operator.image.public_download import get_public
from fedjob_operator.image.registry_auth import Challenge, authorize, keep_headers
from fedjob_operator.image.tls_trust import trusted_context
from fedjob_operator.image.transport import BoundedAdapter

_ATTEMPTS = 3
_REDIRECTS = 3
_MOVED = {
    HTTPStatus.MOVED_PERMANENTLY,
    HTTPStatus.FOUND,
    HTTPStatus.SEE_OTHER,
    HTTPStatus.TEMPORARY_REDIRECT,
    HTTPStatus.PERMANENT_REDIRECT,
}
_BACKOFF = Backoff(first=0.3, longest=1.0, jitter=0.5)
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
    """How to reach a registry, and with which credentials.

    Attributes:
        credentials: User and password; None for an anonymous caller.
        secret: Origin of the credentials, for error messages; empty without credentials.
        ca_pem: Certificates to trust in addition to the public ones, as PEM text.
        insecure: Whether the registry speaks plain HTTP.
        hosts: Other hosts, with ports, that the registry may send us to.
    """

    credentials: Credentials | None = None
    secret: str = ""
    ca_pem: str | None = None
    insecure: bool = False
    hosts: frozenset[str] = frozenset()


class Connection:
    """Requests to one registry, which reuse its last authorization. Thread-safe."""

    def __init__(self, host: str, access: Access) -> None:
        """Sends nothing yet.

        Args:
            host: Host and port of the registry's API.
            access: How to reach the registry.

        Raises:
            ImageRequestInvalidError: `ca_pem` holds no certificate.
        """
        self.host = host
        self._access = access
        self.root = f"{'http' if access.insecure else 'https'}://{host}"
        self._session = requests.Session()
        self._session.mount("https://", BoundedAdapter(trusted_context(access.ca_pem)))
        self._session.mount("http://", BoundedAdapter(None))
        self._authorization: str | None = None

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
        """Sends one authenticated request, with retries while the registry is down or busy.

        Args:
            method: HTTP method.
            path: Path below the root, or a URL that the registry returned.
            headers: Additional headers.
            data: Body; bytes are sent again on a retry, a stream is sent only once.
            stream: Whether to leave the response's body unread.
            expect: Status codes that are returned and not raised.

        Raises:
            RegistryNotAllowedError: The registry sends us to another host.
            RegistryRefusedError: 401 or 403, despite our credentials.
            RegistryUnreachableError: No response, or 429 or 5xx, in all attempts.
            ImageBuildFailedError: Any other status code.
        """
        url = self._address(path)
        attempts = _ATTEMPTS if data is None or isinstance(data, bytes) else 1
        failures = 0
        while True:
            try:
                response = self._send(method, url, headers or {}, data)
                if not stream or response.status_code not in expect:
                    _read(response)
            except requests.exceptions.SSLError as error:
                raise self._untrusted(error) from error
            except (requests.exceptions.RequestException, HTTPError) as error:
                failures += 1
                if failures >= attempts:
                    problem = f"it does not answer ({_innermost(error)})"
                    raise self._unreachable(problem) from error
            else:
                if response.status_code in expect:
                    return response
                problem = _describe(response)
                response.close()
                if response.status_code in _CLOSED:
                    raise self._refused(f"it answers {problem} to {method} {urlsplit(url).path}")
                if response.status_code not in _BUSY:
                    raise ImageBuildFailedError(
                        self.host,
                        f"it answers {problem} to {method} {urlsplit(url).path}",
                        "check spec.image.base and spec.image.repository",
                    )
                failures += 1
                if failures >= attempts:
                    raise self._unreachable(f"it answers {problem}")
            time.sleep(_BACKOFF.delay(failures, random.random()))  # noqa: S311

    def _address(self, path: str) -> str:
        url = urljoin(self.root, path)
        # Behind a proxy that terminates TLS, registries return URLs with http.
        host = urlsplit(url).netloc
        if host == self.host:
            return urlsplit(url)._replace(scheme=urlsplit(self.root).scheme).geturl()
        if host not in self._access.hosts:
            raise RegistryNotAllowedError(host or url, f"the registry {self.host} sends us there")
        return url

    def _send(
        self, method: str, url: str, headers: Mapping[str, str], data: Any
    ) -> requests.Response:
        response = self._authorized(method, url, headers, data)
        # Registries serve blobs from object stores: their own business, if it is public.
        hops = _REDIRECTS if method == "GET" and "/blobs/" in url else 0
        for _ in range(hops):
            if response.status_code not in _MOVED:
                break
            response.close()
            url = urljoin(url, response.headers.get("Location", ""))
            response = self._redirected(url, headers)
        return response

    def _redirected(self, url: str, headers: Mapping[str, str]) -> requests.Response:
        if urlsplit(url).netloc in {self.host, *self._access.hosts}:
            return self._authorized("GET", self._address(url), headers, None)
        return get_public(url, headers, self._access.ca_pem)

    def _authorized(
        self, method: str, url: str, headers: Mapping[str, str], data: Any
    ) -> requests.Response:
        if urlsplit(url).netloc != self.host:
            return self._once(method, url, headers, data)
        sent = self._authorization
        with_it = headers if sent is None else {**headers, "Authorization": sent}
        response = self._once(method, url, with_it, data)
        if response.status_code not in _CLOSED:
            return response
        # The token may have expired or have another scope: the challenge names the one needed.
        challenge = Challenge.parse(response.headers.get("Www-Authenticate", ""))
        _read(response)
        hosts = {self.host, *self._access.hosts}
        authorization = authorize(self._session, challenge, self._access.credentials, hosts)
        if authorization is not None:
            self._authorization = authorization
        once_only = data is not None and not isinstance(data, bytes)
        if once_only or authorization is None or authorization == sent:
            return response
        response.close()
        return self._once(method, url, {**headers, "Authorization": authorization}, data)

    def _once(
        self, method: str, url: str, headers: Mapping[str, str], data: Any
    ) -> requests.Response:
        return self._session.request(
            method,
            url,
            headers=headers,
            data=data,
            stream=True,
            auth=keep_headers,
            allow_redirects=False,
        )

    def _refused(self, problem: str) -> RegistryRefusedError:
        whose = (
            "without credentials" if self._access.credentials is None else "with our credentials"
        )
        return RegistryRefusedError(self.host, f"{problem} {whose}", self._access.secret)

    def _unreachable(self, problem: str) -> RegistryUnreachableError:
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
            "registry insecure if it speaks plain HTTP",
        )


def _read(response: requests.Response) -> None:
    """Reads the body within bounds, for `content` and `json`, and frees the connection."""
    response._content = bounded_content(response)
    response.close()


def _describe(response: requests.Response) -> str:
    """Status and the registry's message, such as `401 UNAUTHORIZED: authentication required`."""
    try:
        first = response.json()["errors"][0]
        message = f"{first.get('code')}: {first.get('message')}"
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        message = response.reason or ""
    return f"{response.status_code} {message}".strip()[:300]


def _innermost(error: BaseException) -> str:
    """The message of the root cause, which urllib3 wraps three times."""
    seen = error
    while True:
        inner = seen.__cause__ or seen.__context__ or getattr(seen, "reason", None)
        if not isinstance(inner, BaseException) or inner is seen:
            return (str(seen) or type(seen).__name__)[:200]
        seen = inner
