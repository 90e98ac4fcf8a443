"""Credentials in docker config JSON: which entry is used for which repository."""

from __future__ import annotations

import base64
import json

import docker.auth
import pytest

from fedjob_operator.image.credentials import Credentials, credentials_for, merge_docker_configs
from fedjob_operator.image.errors import RegistryRefusedError
from fedjob_operator.image.reference import Reference


def config(**auths: object) -> str:
    return json.dumps({"auths": auths})


def entry(username: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{username}:{password}".encode()).decode()}


@pytest.mark.parametrize(
    ("keys", "image", "user"),
    [
        (["r.test"], "r.test/a", "r.test"),
        (["https://r.test/v2/"], "r.test/a", "https://r.test/v2/"),
        (["r.test:5000"], "r.test/a", None),
        (["r.test"], "r.test:5000/a", None),
        (["other.test"], "r.test/a", None),
        (["r.test", "r.test/team", "r.test/team/app"], "r.test/team/app", "r.test/team/app"),
        (["r.test", "r.test/team"], "r.test/teams/app", "r.test"),
        (["r.test/team"], "r.test/other", None),
        (["*.test"], "r.test/a", "*.test"),
        (["*.test"], "x.r.test/a", None),
        ([docker.auth.INDEX_URL], "team/app", docker.auth.INDEX_URL),
    ],
)
def test_most_specific_entry_is_used(keys: list[str], image: str, user: str | None) -> None:
    document = config(**{key: {"username": key, "password": "pw"} for key in keys})
    found = credentials_for(document, Reference.parse(image, "f"), "s")
    assert found == (None if user is None else Credentials(user, "pw"))


def test_auth_may_be_encoded_and_a_password_may_have_colons() -> None:
    document = config(**{"r.test": entry("me", "a:b")})
    assert credentials_for(document, Reference("r.test", "a"), "s") == Credentials("me", "a:b")


def test_without_a_secret_there_are_no_credentials() -> None:
    assert credentials_for(None, Reference("r.test", "a"), "s") is None


@pytest.mark.parametrize("document", ["", "[]", "{}", '{"auths": 1}', "null"])
def test_invalid_docker_config_is_refused_with_its_secret(document: str) -> None:
    with pytest.raises(RegistryRefusedError, match="Secret ml/pull is not docker config") as caught:
        credentials_for(document, Reference("r.test", "a"), "Secret ml/pull")
    assert caught.value.registry == "r.test"


@pytest.mark.parametrize(
    "broken",
    [{}, {"auth": "%%"}, {"auth": "bm9jb2xvbg=="}, {"username": "me"}, {"identitytoken": "t"}, 1],
)
def test_entry_without_user_and_password_is_refused(broken: object) -> None:
    with pytest.raises(RegistryRefusedError, match="no user name and password"):
        credentials_for(config(**{"r.test": broken}), Reference("r.test", "a"), "s")


def test_password_is_not_in_the_repr() -> None:
    assert "hidden" not in repr(Credentials("me", "hidden"))


def test_merged_secrets_keep_the_first_entry() -> None:
    merged = merge_docker_configs(
        [
            config(**{"r.test": entry("first", "pw")}),
            config(**{"r.test": entry("x", "pw"), "q.test": entry("q", "pw")}),
        ]
    )
    assert credentials_for(merged, Reference("r.test", "a"), "s") == Credentials("first", "pw")
    assert credentials_for(merged, Reference("q.test", "a"), "s") == Credentials("q", "pw")
    with pytest.raises(RegistryRefusedError, match="number 2"):
        merge_docker_configs([config(), "x"])
