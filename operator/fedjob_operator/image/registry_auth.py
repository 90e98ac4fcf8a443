"""Answers a registry's authentication challenges: Basic, and the token flow of Docker registries.

The token flow is that of https://distribution.github.io/distribution/spec/auth/token/: the
registry's 401 names a token server and a scope; the token server exchanges user and password, or
nothing for an anonymous caller, for a bearer token of that scope.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

import requests

from fedjob_operator.image.bounded_content import bounded_content
from fedjob_operator.image.credentials import Credentials
from fedjob_operator.image.errors import RegistryNotAllowedError

MAX_TOKEN = 1 << 20
"""Bytes of a token server's answer."""
_PARAMETER = re.compile(r'([A-Za-z_]+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Challenge:
    """The Www-Authenticate header of a 401 or 403.

    Attributes:
        scheme: In lower case, such as `basic` or `bearer`.
        parameters: The quoted parameters by lower-case name, such as realm, service and scope.
    """

    scheme: str
    parameters: dict[str, str]

    @classmethod
    def parse(cls, header: str) -> Challenge:
        """Reads the header; an empty or unknown one gives a challenge that nobody answers."""
        scheme, _, rest = header.partition(" ")
        found = {name.lower(): value for name, value in _PARAMETER.findall(rest)}
        return cls(scheme=scheme.lower(), parameters=found)


def authorize(
    session: requests.Session,
    challenge: Challenge,
    credentials: Credentials | None,
    hosts: Collection[str],
) -> str | None:
    """The Authorization header that answers a challenge; None if there is none.

    Args:
        session: Sends the request to the token server.
        challenge: What the registry asks for.
        credentials: User and password; None for an anonymous caller.
        hosts: Hosts, with ports, of token servers that may be asked.

    Raises:
        RegistryNotAllowedError: The registry names another token server.
        requests.exceptions.RequestException: The token server does not answer.
    """
    if challenge.scheme == "basic" and credentials is not None:
        return basic_header(credentials)
    if challenge.scheme == "bearer":
        return _fetch_token(session, challenge, credentials, hosts)
    return None


def basic_header(credentials: Credentials) -> str:
    """The Authorization header of RFC 7617, in UTF-8."""
    pair = f"{credentials.username}:{credentials.password}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def _fetch_token(
    session: requests.Session,
    challenge: Challenge,
    credentials: Credentials | None,
    hosts: Collection[str],
) -> str | None:
    realm = challenge.parameters.get("realm", "")
    if urlsplit(realm).scheme not in {"http", "https"}:
        return None
    # A hostile registry must not learn the credentials for another, nor send us into the cluster.
    if urlsplit(realm).netloc not in hosts:
        problem = f"the registry sends us there for a token ({realm})"
        raise RegistryNotAllowedError(urlsplit(realm).netloc or realm, problem)
    wanted = {name: challenge.parameters.get(name) for name in ("service", "scope")}
    headers = {"Accept": "application/json"}
    if credentials is not None:
        headers["Authorization"] = basic_header(credentials)
    response = session.get(
        realm,
        params=wanted,
        headers=headers,
        auth=keep_headers,
        allow_redirects=False,
        stream=True,
    )
    with response:
        text = bounded_content(response, MAX_TOKEN)
    if response.status_code != HTTPStatus.OK:
        return None
    try:
        body = json.loads(text)
        token = body.get("token") or body.get("access_token")
    except (ValueError, AttributeError):
        return None
    return f"Bearer {token}" if isinstance(token, str) and token else None


def keep_headers(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """As `auth=`: keeps requests from replacing our Authorization header by one from a .netrc."""
    return request
