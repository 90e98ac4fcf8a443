"""Which credentials and scheme a request uses for each registry."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fedjob_operator.image.request import ImageRequest

SECRET = json.dumps({"auths": {"r.test": {"username": "me", "password": "hidden"}}})


def request(**over: Any) -> ImageRequest:
    given: dict[str, Any] = {
        "base": "q.test/base:1",
        "repository": "r.test/jobs",
        "files": {"a": b""},
    }
    return ImageRequest(**(given | over))


def test_each_registry_gets_its_own_credentials_and_scheme() -> None:
    asked = request(pull_secret=SECRET, secret_name="Secret ml/pull", insecure=True)
    target = asked.access(asked.target_reference())
    base = asked.access(asked.base_reference())
    assert target.credentials is not None
    assert (target.credentials.username, target.secret, target.insecure) == (
        "me",
        "Secret ml/pull",
        True,
    )
    assert (base.credentials, base.secret, base.insecure) == (None, "", False)


@pytest.mark.parametrize(
    ("base", "insecure", "base_insecure", "expected"),
    [
        ("r.test/base:1", True, False, True),
        ("r.test/base:1", False, True, False),
        ("q.test/base:1", False, True, True),
    ],
)
def test_base_in_the_same_registry_uses_its_scheme(
    base: str, insecure: bool, base_insecure: bool, expected: bool
) -> None:
    asked = request(base=base, insecure=insecure, base_insecure=base_insecure)
    assert asked.access(asked.base_reference()).insecure is expected


def test_secrets_are_not_in_the_repr() -> None:
    printed = repr(request(pull_secret=SECRET, ca_pem="-----BEGIN"))
    assert "hidden" not in printed
    assert "BEGIN" not in printed


def test_credentials_of_the_operator_serve_its_own_repositories_only() -> None:
    config = json.dumps({"auths": {"r.test": {"username": "operator", "password": "hidden"}}})
    own = frozenset({"r.test/jobs/team", "r.test/runtime"})

    def user_of(repository: str, pull_secret: str | None = None) -> str | None:
        asked = request(
            repository=repository,
            operator_config=config,
            operator_repositories=own,
            pull_secret=pull_secret,
        )
        found = asked.access(asked.target_reference()).credentials
        return None if found is None else found.username

    assert user_of("r.test/jobs/team") == "operator"
    assert user_of("r.test/jobs/team/x") == "operator"
    assert user_of("r.test/runtime") == "operator"
    assert user_of("r.test/jobs/team-b") is None
    assert user_of("r.test/jobs/victim") is None
    assert user_of("r.test/other") is None
    assert user_of("r.test/jobs/team", SECRET) == "me"
