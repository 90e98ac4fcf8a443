"""References and credentials: which registry, which repository, as whom."""

from __future__ import annotations

import base64
import json

import oras.defaults
import pytest

from fedjob_operator.image.credentials import Credentials, credentials_for, merge_docker_configs
from fedjob_operator.image.errors import ImageRequestInvalidError, RegistryRefusedError
from fedjob_operator.image.reference import Reference

INDEX = oras.defaults.registry.index_name
DIGEST = f"sha256:{'a' * 64}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("r.test/a/b:1", Reference("r.test", "a/b", "1")),
        ("r.test:5000/a", Reference("r.test:5000", "a")),
        ("localhost/a:x", Reference("localhost", "a", "x")),
        ("127.0.0.1:1/a@" + DIGEST, Reference("127.0.0.1:1", "a", None, DIGEST)),
        ("r.test/a:1@" + DIGEST, Reference("r.test", "a", "1", DIGEST)),
        ("python:3.12", Reference(INDEX, "library/python", "3.12")),
        ("team/app", Reference(INDEX, "team/app")),
        (f"{oras.defaults.registry.index_hostname}/team/app", Reference(INDEX, "team/app")),
    ],
)
def test_references_are_taken_apart(text: str, expected: Reference) -> None:
    assert Reference.parse(text, "f") == expected
    assert Reference.parse(str(expected), "f") == expected


@pytest.mark.parametrize(
    ("text", "version"),
    [("r.test/a", "latest"), ("r.test/a:1", "1"), (f"r.test/a:1@{DIGEST}", DIGEST)],
)
def test_the_digest_decides_then_the_tag(text: str, version: str) -> None:
    assert Reference.parse(text, "f").version == version


@pytest.mark.parametrize(
    "text",
    ["", "r.test/", "r.test/A", "r.test/a:", "r.test/a@sha256:12", "r.test/a:-x", "r.test/a b",
     "https://r.test/a", "r.test/a/../b", "r.test:x/a", "r.test/a@"],
)  # fmt: skip
def test_what_is_no_reference_is_refused_with_its_field(text: str) -> None:
    with pytest.raises(ImageRequestInvalidError, match=r"^spec\.image\.base: ") as caught:
        Reference.parse(text, "spec.image.base")
    assert repr(text) in str(caught.value)


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
        ([oras.defaults.registry.index_server], "team/app", oras.defaults.registry.index_server),
    ],
)
def test_the_most_specific_entry_of_the_registry_is_taken(
    keys: list[str], image: str, user: str | None
) -> None:
    document = config(**{key: {"username": key, "password": "pw"} for key in keys})
    found = credentials_for(document, Reference.parse(image, "f"), "s")
    assert found == (None if user is None else Credentials(user, "pw"))


def test_auth_may_be_encoded_and_a_password_may_have_colons() -> None:
    document = config(**{"r.test": entry("me", "a:b")})
    assert credentials_for(document, Reference("r.test", "a"), "s") == Credentials("me", "a:b")


def test_no_secret_means_nobody() -> None:
    assert credentials_for(None, Reference("r.test", "a"), "s") is None


@pytest.mark.parametrize("document", ["", "[]", "{}", '{"auths": 1}', "null"])
def test_a_secret_that_is_no_docker_config_is_named(document: str) -> None:
    with pytest.raises(
        RegistryRefusedError, match="Secret ml/pull holds no docker config"
    ) as caught:
        credentials_for(document, Reference("r.test", "a"), "Secret ml/pull")
    assert caught.value.registry == "r.test"


@pytest.mark.parametrize(
    "broken",
    [{}, {"auth": "%%"}, {"auth": "bm9jb2xvbg=="}, {"username": "me"}, {"identitytoken": "t"}, 1],
)
def test_an_entry_without_user_and_password_is_refused(broken: object) -> None:
    with pytest.raises(RegistryRefusedError, match="no user name and password"):
        credentials_for(config(**{"r.test": broken}), Reference("r.test", "a"), "s")


def test_a_password_is_never_printed() -> None:
    assert "hidden" not in repr(Credentials("me", "hidden"))


def test_several_secrets_become_one_and_the_first_wins() -> None:
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
