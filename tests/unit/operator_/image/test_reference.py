"""Image references: parsed, or refused with their field."""

from __future__ import annotations

import docker.auth
import pytest

from fedjob_operator.image.errors import ImageRequestInvalidError
from fedjob_operator.image.reference import Reference

INDEX = docker.auth.INDEX_NAME
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
        (f"index.{INDEX}/team/app", Reference(INDEX, "team/app")),
    ],
)
def test_references_are_parsed(text: str, expected: Reference) -> None:
    assert Reference.parse(text, "f") == expected
    assert Reference.parse(str(expected), "f") == expected


@pytest.mark.parametrize(
    ("text", "version"),
    [("r.test/a", "latest"), ("r.test/a:1", "1"), (f"r.test/a:1@{DIGEST}", DIGEST)],
)
def test_version_is_the_digest_else_the_tag_else_latest(text: str, version: str) -> None:
    assert Reference.parse(text, "f").version == version


@pytest.mark.parametrize(
    "text",
    ["", "r.test/", "r.test/A", "r.test/a:", "r.test/a@sha256:12", "r.test/a:-x", "r.test/a b",
     "https://r.test/a", "r.test/a/../b", "r.test:x/a", "r.test/a@"],
)  # fmt: skip
def test_invalid_reference_is_refused_with_its_field(text: str) -> None:
    with pytest.raises(ImageRequestInvalidError, match=r"^spec\.image\.base: ") as caught:
        Reference.parse(text, "spec.image.base")
    assert repr(text) in str(caught.value)


def test_api_host_of_the_default_registry_differs_from_its_name() -> None:
    assert Reference.parse("team/app", "f").host == f"registry-1.{INDEX}"
    assert Reference.parse("r.test:5000/a", "f").host == "r.test:5000"
