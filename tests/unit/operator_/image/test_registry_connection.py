"""Requests to a registry, with a scripted transport: retries, authorization, errors."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from fedjob_operator.image import registry_connection
from fedjob_operator.image.credentials import Credentials
from fedjob_operator.image.errors import (
    ImageBuildFailedError,
    ImageError,
    RegistryNotAllowedError,
    RegistryRefusedError,
    RegistryUnreachableError,
)
from fedjob_operator.image.registry_connection import Access, Connection
from support.http_responses import ScriptedAdapter, response

USER = Access(
    Credentials("me", "pw"),
    secret="Secret ml/pull",
    hosts=frozenset({"t.test", "storage.test"}),
)
TOKEN_CHALLENGE = {"Www-Authenticate": 'Bearer realm="https://t.test/token",scope="s"'}
AWAY = requests.exceptions.ConnectionError("away")


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []
    monkeypatch.setattr(registry_connection.time, "sleep", found.append)
    return found


class Opened:
    """A connection to r.test with scripted responses."""

    def __init__(self, access: Access, *script: requests.Response | Exception) -> None:
        self.connection = Connection("r.test", access)
        self.adapter = ScriptedAdapter(*script)
        self.connection._session.mount("https://", self.adapter)
        self.connection._session.mount("http://", self.adapter)

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def sent(self) -> Iterator[tuple[str | None, str | None]]:
        for request in self.adapter.requests:
            yield request.url, request.headers.get("Authorization")


def test_busy_or_silent_registry_is_retried_with_growing_waits(waits: list[float]) -> None:
    with Opened(Access(), AWAY, response(503), response(200)) as opened:
        assert opened.connection.request("GET", "/v2/").status_code == 200
    assert len(waits) == 2
    assert 0 < waits[0] <= 0.45
    assert 0.3 <= waits[1] <= 0.9


@pytest.mark.parametrize(
    ("script", "message"),
    [((AWAY,) * 3, "it does not answer"), ((response(429),) * 3, "it answers 429")],
    ids=["silent", "busy"],
)
def test_after_the_last_retry_the_registry_is_unreachable(
    script: tuple[requests.Response | Exception, ...], message: str
) -> None:
    with (
        Opened(Access(), *script) as opened,
        pytest.raises(RegistryUnreachableError, match=message),
    ):
        opened.connection.request("GET", "/v2/")


def test_streamed_body_is_sent_only_once(waits: list[float]) -> None:
    with Opened(Access(), response(503)) as opened, pytest.raises(RegistryUnreachableError):
        opened.connection.request("PUT", "/v2/x", data=iter([b"1"]))
    assert waits == []


def test_token_is_fetched_on_a_challenge_and_reused() -> None:
    with Opened(
        USER,
        response(401, headers=TOKEN_CHALLENGE),
        response(200, json={"token": "t1"}),
        response(200),
        response(200),
    ) as opened:
        opened.connection.request("GET", "/v2/a")
        opened.connection.request("GET", "/v2/b")
        assert list(opened.sent()) == [
            ("https://r.test/v2/a", None),
            ("https://t.test/token?scope=s", "Basic bWU6cHc="),
            ("https://r.test/v2/a", "Bearer t1"),
            ("https://r.test/v2/b", "Bearer t1"),
        ]


def test_authorization_is_not_sent_to_another_host() -> None:
    with Opened(
        USER,
        response(401, headers={"Www-Authenticate": "Basic"}),
        response(200),
        response(200),
    ) as opened:
        opened.connection.request("GET", "/v2/a")
        opened.connection.request("GET", "https://storage.test/blob")
        assert list(opened.sent())[1:] == [
            ("https://r.test/v2/a", "Basic bWU6cHc="),
            ("https://storage.test/blob", None),
        ]


@pytest.mark.parametrize(
    ("method", "path", "answer"),
    [
        ("GET", "/v2/a/manifests/1", "http://169.254.169.254/latest"),
        ("HEAD", "/v2/a/blobs/x", "http://169.254.169.254/latest"),
        ("PUT", "/v2/a/blobs/x", "https://evil.test/x"),
    ],
)
def test_redirects_are_not_followed(method: str, path: str, answer: str) -> None:
    with (
        Opened(USER, response(307, headers={"Location": answer})) as opened,
        pytest.raises(ImageBuildFailedError, match="it answers 307"),
    ):
        opened.connection.request(method, path)
    assert [url for url, _ in opened.sent()] == [f"https://r.test{path}"]


@pytest.mark.parametrize("answer", ["http://evil.test/x", "https://127.0.0.1/x", "file:///etc/x"])
def test_blob_is_not_fetched_from_an_address_that_is_not_public(answer: str) -> None:
    with (
        Opened(USER, response(307, headers={"Location": answer})) as opened,
        pytest.raises(RegistryNotAllowedError),
    ):
        opened.connection.request("GET", "/v2/a/blobs/x", stream=True)
    assert len(list(opened.sent())) == 1


def test_blob_is_fetched_from_the_registry_itself_and_from_allowed_hosts() -> None:
    with Opened(
        USER,
        response(401, headers={"Www-Authenticate": "Basic"}),
        response(307, headers={"Location": "/v2/b/blobs/x"}),
        response(307, headers={"Location": "https://storage.test/x"}),
        response(200, body=b"blob"),
    ) as opened:
        found = opened.connection.request("GET", "/v2/a/blobs/x")
        assert found.content == b"blob"
        assert list(opened.sent())[1:] == [
            ("https://r.test/v2/a/blobs/x", "Basic bWU6cHc="),
            ("https://r.test/v2/b/blobs/x", "Basic bWU6cHc="),
            ("https://storage.test/x", None),
        ]


def test_every_hop_of_a_blob_is_followed_and_checked() -> None:
    """Object stores redirect once more, to an address without `/blobs/` in it."""
    first = response(307, headers={"Location": "https://storage.test/x"})
    with Opened(
        USER,
        first,
        response(302, headers={"Location": "/y"}),
        response(200, body=b"blob"),
    ) as opened:
        assert opened.connection.request("GET", "/v2/a/blobs/x").content == b"blob"
        assert [url for url, _ in opened.sent()][1:] == [
            "https://storage.test/x",
            "https://storage.test/y",
        ]
    with (
        Opened(
            USER, first, response(302, headers={"Location": "https://169.254.169.254/y"})
        ) as opened,
        pytest.raises(RegistryNotAllowedError, match="not public"),
    ):
        opened.connection.request("GET", "/v2/a/blobs/x")


def test_blob_that_is_redirected_for_ever_is_an_error() -> None:
    again = [response(307, headers={"Location": "/v2/a/blobs/x"}) for _ in range(4)]
    with (
        Opened(Access(), *again) as opened,
        pytest.raises(ImageBuildFailedError, match="it answers 307"),
    ):
        opened.connection.request("GET", "/v2/a/blobs/x")


def test_upload_is_not_sent_to_another_host() -> None:
    with Opened(USER) as opened, pytest.raises(RegistryNotAllowedError, match="sends us there"):
        opened.connection.request("PUT", "https://evil.test/upload", data=b"secret layer")
    assert list(opened.sent()) == []


def test_answer_of_any_size_is_not_read() -> None:
    with (
        Opened(Access(), response(200, body=b"x" * ((4 << 20) + 1))) as opened,
        pytest.raises(ImageBuildFailedError, match="has more than 4194304 bytes"),
    ):
        opened.connection.request("GET", "/v2/a/manifests/1")


def test_own_url_with_http_is_requested_with_the_scheme_of_the_registry() -> None:
    with Opened(Access(), response(200)) as opened:
        opened.connection.request("GET", "http://r.test/v2/upload")
        assert list(opened.sent()) == [("https://r.test/v2/upload", None)]


@pytest.mark.parametrize(
    ("access", "text"),
    [(USER, "with our credentials"), (Access(), "without credentials")],
    ids=["user", "anonymous"],
)
def test_refusal_names_status_message_and_secret(access: Access, text: str) -> None:
    body = {"errors": [{"code": "DENIED", "message": "no"}]}
    with (
        Opened(access, response(403, json=body)) as opened,
        pytest.raises(RegistryRefusedError) as caught,
    ):
        opened.connection.request("GET", "/v2/a")
    assert f"r.test: it answers 403 DENIED: no to GET /v2/a {text}" in str(caught.value)
    assert caught.value.secret == access.secret


@pytest.mark.parametrize(
    ("given", "kind", "text"),
    [
        (response(400, body=b"x"), ImageBuildFailedError, "it answers 400"),
        (requests.exceptions.SSLError("bad"), RegistryUnreachableError, "TLS fails (bad)"),
    ],
    ids=["status", "tls"],
)
def test_errors_that_a_retry_cannot_fix_are_raised_at_once(
    given: requests.Response | Exception, kind: type[ImageError], text: str, waits: list[float]
) -> None:
    with Opened(Access(), given) as opened, pytest.raises(kind) as caught:
        opened.connection.request("GET", "/v2/a")
    assert text in str(caught.value)
    assert waits == []
