"""Invalid requests are refused before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest

from fedjob_operator.image import builder
from fedjob_operator.image.builder import ensure_image_now
from fedjob_operator.image.errors import BaseImageMissingError, ImageRequestInvalidError
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


class FakeRegistry:
    """A repository of which every tag has one digest."""

    def __init__(self, reference: Any, access: object) -> None:
        self.asked = reference

    def __enter__(self) -> FakeRegistry:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def manifest_digest(self, version: str) -> str | None:
        return "sha256:" + "2" * 64 if version == "1" else None


@pytest.mark.parametrize(
    ("supervisor", "pinned"),
    [
        ("", ""),
        ("q.test/runtime:1", f"q.test/runtime@sha256:{'2' * 64}"),
        (f"q.test/runtime@sha256:{'3' * 64}", f"q.test/runtime@sha256:{'3' * 64}"),
    ],
)
def test_operators_runtime_image_is_pinned(
    supervisor: str, pinned: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builder, "Repository", FakeRegistry)
    monkeypatch.setattr(builder, "append_image", lambda *_: ("sha256:1", True))
    assert ensure_image_now(request(supervisor=supervisor)).supervisor == pinned


def test_runtime_image_that_does_not_exist_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder, "Repository", FakeRegistry)
    monkeypatch.setattr(builder, "append_image", lambda *_: ("sha256:1", True))
    with pytest.raises(BaseImageMissingError, match=r"q\.test/runtime:7"):
        ensure_image_now(request(supervisor="q.test/runtime:7"))
