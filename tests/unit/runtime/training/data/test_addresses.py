"""Which hosts an image may come from (CONTRACT row 19)."""

from __future__ import annotations

import pytest

from fedjob_runtime.training.data.addresses import allowed_hosts, resolve
from fedjob_runtime.training.errors import (
    ImageRefusedError,
    ImageUnavailableError,
)


def test_a_private_host_is_allowed_by_name_or_by_name_and_port_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FEDJOB_ALLOW_IMAGE_HOSTS", " Localhost:8443 , other,")
    assert allowed_hosts() == {"localhost:8443", "other"}
    assert resolve("localhost", 8443, allowed_hosts())
    with pytest.raises(ImageRefusedError, match="FEDJOB_ALLOW_IMAGE_HOSTS"):
        resolve("localhost", 443, allowed_hosts())
    with pytest.raises(ImageRefusedError, match=r"127\.0\.0\.1"):
        resolve("127.0.0.1", 8443, allowed_hosts())


def test_a_name_that_does_not_exist() -> None:
    with pytest.raises(ImageUnavailableError, match="cannot be resolved"):
        resolve("no-such-host.invalid", 443, frozenset())
