"""Invalid requests are refused before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest

from fedjob_operator.image.builder import ensure_image_now
from fedjob_operator.image.errors import ImageRequestInvalidError
from fedjob_operator.image.registry_connection import Connection
from fedjob_operator.image.request import ImageRequest


def request(**over: Any) -> ImageRequest:
    given: dict[str, Any] = {
        "base": "q.test/base:1",
        "repository": "r.test/jobs",
        "files": {"a": b""},
    }
    return ImageRequest(**(given | over))


@pytest.mark.parametrize(
    ("over", "field"),
    [
        ({"base": "Q"}, "spec.image.base"),
        ({"repository": "r.test/A"}, "spec.image.repository"),
        ({"repository": "r.test/a:1"}, "spec.image.repository"),
        ({"repository": f"r.test/a@sha256:{'1' * 64}"}, "spec.image.repository"),
        ({"requirements": ("numpy",)}, "spec.image.builder"),
        ({"ca_pem": "no certificate"}, "registry CA"),
        ({"ca_pem": ""}, "registry CA"),
    ],
)
def test_invalid_request_is_refused_before_anything_is_sent(
    over: dict[str, Any], field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[object] = []
    monkeypatch.setattr(Connection, "request", lambda *args, **_: sent.append(args))
    with pytest.raises(ImageRequestInvalidError) as caught:
        ensure_image_now(request(**over))
    assert caught.value.subject == field
    assert sent == []
