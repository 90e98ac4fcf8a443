"""Settings come from the environment."""

from __future__ import annotations

import json
from pathlib import Path

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


def test_only_the_login_of_the_jobs_registry_is_shared(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    both = {"r.test:5000": {"auth": "bWluZQ=="}, "base.test": {"auth": "c2VjcmV0"}}
    config.write_text(json.dumps({"auths": both}))
    given = {
        "FEDJOB_REPOSITORY": "r.test:5000/jobs",
        "FEDJOB_REGISTRY_CONFIG": str(config),
        "FEDJOB_SHARE_PULL_CREDENTIALS": "true",
    }
    login = read_settings(given).defaults(given).pull_login
    assert json.loads(login) == {"auths": {"r.test:5000": both["r.test:5000"]}}
    given["FEDJOB_SHARE_PULL_CREDENTIALS"] = "false"
    assert read_settings(given).defaults(given).pull_login == ""


def test_ttl_of_minus_one_is_none() -> None:
    assert read_settings({}).defaults({}).ttl == 7 * 86400
    assert read_settings({"FEDJOB_DEFAULT_TTL_SECONDS": "-1"}).defaults({}).ttl is None


def test_supervisors_resources_are_read() -> None:
    given = {
        "FEDJOB_SUPERVISOR_CPU": "2",
        "FEDJOB_SUPERVISOR_MEMORY": "3Gi",
        "FEDJOB_SUPERVISOR_MEMORY_LIMIT": "4Gi",
    }
    found = read_settings(given).defaults({})
    chosen = (found.supervisor_cpu, found.supervisor_memory, found.supervisor_memory_limit)
    assert chosen == ("2", "3Gi", "4Gi")
    with pytest.raises(InvalidInputError):
        read_settings({"FEDJOB_SUPERVISOR_MEMORY": "much"})
