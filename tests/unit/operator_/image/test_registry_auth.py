"""Authentication challenges of registries: Basic, and the token flow with a fake token server."""

from __future__ import annotations

import base64
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from fedjob_operator.image.credentials import Credentials
from fedjob_operator.image.errors import ImageBuildFailedError, RegistryNotAllowedError
from fedjob_operator.image.registry_auth import Challenge, authorize
from support.http_responses import ScriptedAdapter, response

HOSTS = {"r.test", "t.test"}
USER = Credentials("me", "pässword")
BASIC = "Basic " + base64.b64encode("me:pässword".encode()).decode()
BEARER = 'Bearer realm="https://t.test/token?a=b",service="r.test",scope="repository:x:pull,push"'


def answer(
    header: str, credentials: Credentials | None, *responses: requests.Response
) -> tuple[str | None, list[requests.PreparedRequest]]:
    adapter = ScriptedAdapter(*responses)
    with requests.Session() as session:
        session.mount("https://", adapter)
        return authorize(session, Challenge.parse(header), credentials, HOSTS), adapter.requests


def test_challenge_is_parsed_with_commas_inside_values() -> None:
    challenge = Challenge.parse(BEARER)
    assert challenge.scheme == "bearer"
    assert challenge.parameters == {
        "realm": "https://t.test/token?a=b",
        "service": "r.test",
        "scope": "repository:x:pull,push",
    }


def test_basic_challenge_is_answered_only_with_credentials() -> None:
    assert answer('Basic realm="r"', USER) == (BASIC, [])
    assert answer('Basic realm="r"', None) == (None, [])


@pytest.mark.parametrize("field", ["token", "access_token"])
def test_token_is_fetched_for_the_scope_of_the_challenge(field: str) -> None:
    header, [request] = answer(BEARER, USER, response(200, json={field: "t1"}))
    assert header == "Bearer t1"
    query = parse_qs(urlsplit(str(request.url)).query)
    assert query == {"a": ["b"], "service": ["r.test"], "scope": ["repository:x:pull,push"]}
    assert request.headers["Authorization"] == BASIC


def test_anonymous_token_request_has_no_authorization() -> None:
    header, [request] = answer(BEARER, None, response(200, json={"token": "t1"}))
    assert header == "Bearer t1"
    assert "Authorization" not in request.headers


@pytest.mark.parametrize(
    "given",
    [
        response(401, json={}),
        response(200, json={}),
        response(200, json=[]),
        response(200, json={"token": 1}),
        response(200, body=b"no json"),
    ],
    ids=["refused", "empty", "list", "not text", "not json"],
)
def test_unusable_answer_of_the_token_server_gives_no_header(given: requests.Response) -> None:
    assert answer(BEARER, USER, given)[0] is None


@pytest.mark.parametrize(
    "header", ["", "Negotiate", "Bearer", 'Bearer service="x"', 'Bearer realm="file:///etc/passwd"']
)
def test_unknown_challenges_are_not_answered(header: str) -> None:
    assert answer(header, USER) == (None, [])


@pytest.mark.parametrize(
    "realm", ["https://evil.test/token", "http://169.254.169.254/token", "https://t.test:444/token"]
)
def test_credentials_are_not_sent_to_another_token_server(realm: str) -> None:
    with requests.Session() as session:
        adapter = ScriptedAdapter()
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        challenge = Challenge.parse(f'Bearer realm="{realm}"')
        with pytest.raises(RegistryNotAllowedError, match="list the host in builds"):
            authorize(session, challenge, USER, HOSTS)
    assert adapter.requests == []


def test_token_of_any_size_is_not_read() -> None:
    with pytest.raises(ImageBuildFailedError, match="has more than 1048576 bytes"):
        answer(BEARER, USER, response(200, body=b"x" * ((1 << 20) + 1)))
