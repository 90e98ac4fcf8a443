"""Scripted HTTP responses for clients that use `requests`: no sockets, no server."""

from __future__ import annotations

import io
import json as json_module
from collections.abc import Mapping
from typing import Any

import requests
from requests.adapters import BaseAdapter
from urllib3 import HTTPResponse


def response(
    status: int, *, body: bytes = b"", json: Any = None, headers: Mapping[str, str] | None = None
) -> requests.Response:
    """A response as an adapter returns it; `json` replaces `body`."""
    made = requests.Response()
    made.status_code = status
    content = json_module.dumps(json).encode() if json is not None else body
    made.raw = HTTPResponse(io.BytesIO(content), preload_content=False)
    made.headers.update(headers or {})
    return made


class ScriptedAdapter(BaseAdapter):
    """Returns the given responses in order, or raises them where they are exceptions.

    Attributes:
        requests: What was sent so far.
    """

    def __init__(self, *script: requests.Response | Exception) -> None:
        super().__init__()
        self.requests: list[requests.PreparedRequest] = []
        self._script = list(script)

    def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:  # type: ignore[override]
        self.requests.append(request)
        result = self._script.pop(0)
        if isinstance(result, Exception):
            raise result
        result.request, result.url = request, str(request.url)
        return result

    def close(self) -> None:
        """Has no sockets."""
