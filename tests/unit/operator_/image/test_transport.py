"""Requests about images: a timeout on each, and the given trust store."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from fedjob_operator.image.transport import TIMEOUT, BoundedAdapter


def test_request_without_a_timeout_gets_one(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def send(_self: HTTPAdapter, _request: object, **options: Any) -> requests.Response:
        seen.append(options["timeout"])
        return requests.Response()

    monkeypatch.setattr(HTTPAdapter, "send", send)
    adapter = BoundedAdapter(None)
    adapter.send(requests.PreparedRequest(), timeout=None)
    adapter.send(requests.PreparedRequest(), timeout=3)
    assert seen == [TIMEOUT, 3]


def test_connections_trust_the_given_certificates() -> None:
    context = ssl.create_default_context()
    assert BoundedAdapter(context).poolmanager.connection_pool_kw["ssl_context"] is context
    assert "ssl_context" not in BoundedAdapter(None).poolmanager.connection_pool_kw
