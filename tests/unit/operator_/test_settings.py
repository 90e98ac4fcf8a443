"""Settings come from the environment."""

from __future__ import annotations

import pytest

from fedjob.errors import InvalidInputError
from fedjob_operator.settings import read_settings


def test_settings_come_from_the_environment() -> None:
    given = {
        "FEDJOB_NAMESPACES": "a, b",
        "FEDJOB_STORE_BUCKET": "jobs",
        "FEDJOB_POLL": "proxy",
        "FEDJOB_NETWORK_POLICIES": "false",
        "AWS_ACCESS_KEY_ID": "k",
        "AWS_SECRET_ACCESS_KEY": "s",
    }
    settings = read_settings(given)
    assert settings.namespaces == ["a", "b"]
    defaults = settings.defaults(given)
    assert (defaults.bucket, defaults.open_status, defaults.policies) == ("jobs", True, False)
    assert defaults.keys == {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}
    assert not settings.defaults({"AWS_ACCESS_KEY_ID": "k"}).keys
    assert "s" not in repr(defaults.keys) or "keys" not in repr(defaults)


def test_every_invalid_setting_is_named() -> None:
    with pytest.raises(InvalidInputError) as caught:
        read_settings({"FEDJOB_POLL": "often", "FEDJOB_WORKERS": "0"})
    assert [f.field for f in caught.value.faults] == ["FEDJOB_POLL", "FEDJOB_WORKERS"]
