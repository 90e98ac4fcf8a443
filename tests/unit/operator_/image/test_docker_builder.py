"""The events of a Docker daemon become errors with a reason."""

from __future__ import annotations

from typing import Any

import pytest

from fedjob_operator.image.docker_builder import follow_build, follow_transfer
from fedjob_operator.image.errors import (
    ImageBuildFailedError,
    ImageError,
    RegistryRefusedError,
    RegistryUnreachableError,
)


def test_failed_build_reports_its_last_lines() -> None:
    events: list[dict[str, Any]] = [{"stream": f"\x1b[91mline {n}\n\x1b[0m"} for n in range(100)]
    events += [{"stream": "\n"}, {"stream": "Removing intermediate container 1\n ---> 2\n"}]
    events += [{"error": "returned a non-zero code: 1"}]
    with pytest.raises(ImageBuildFailedError, match="non-zero code: 1") as caught:
        follow_build(events, "i")
    lines = str(caught.value).splitlines()
    assert lines[-1] == "line 99"
    assert lines[1] == "line 80"


def test_successful_build_and_push_raise_nothing() -> None:
    follow_build([{"stream": "ok\n"}, {"aux": {"ID": "sha256:1"}}], "i")
    follow_transfer([{"status": "Pushing"}], "r.test", "i", "")


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("denied: requested access to the resource is denied", RegistryRefusedError),
        ("unauthorized: authentication required", RegistryRefusedError),
        ("dial tcp 10.0.0.1:443: connect: connection refused", RegistryUnreachableError),
        ("x509: certificate signed by unknown authority", RegistryUnreachableError),
        ("http: server gave HTTP response to HTTPS client", RegistryUnreachableError),
        ("no space left on device", ImageBuildFailedError),
    ],
)
def test_daemon_message_gives_the_reason(message: str, kind: type[ImageError]) -> None:
    with pytest.raises(kind) as caught:
        follow_transfer([{"status": "x"}, {"error": message}], "r.test", "i", "Secret ml/pull")
    assert caught.value.reason.value == kind.__name__.removesuffix("Error")
    assert message in str(caught.value)
    if kind is RegistryRefusedError:
        assert "Secret ml/pull" in str(caught.value)
