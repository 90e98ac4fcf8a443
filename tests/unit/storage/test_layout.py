from __future__ import annotations

import pytest

from fedjob.errors import InvalidInputError
from fedjob.storage.layout import Layout

LAYOUT = Layout("default", "digits", "team/a")
SHA = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (LAYOUT.root, ""),
        (LAYOUT.scripts, "scripts/"),
        (LAYOUT.configs, "configs/"),
        (LAYOUT.requirements, "requirements/"),
        (LAYOUT.shards, "shards/"),
        (LAYOUT.model, "model/"),
        (LAYOUT.model_out, "model_out/"),
        (LAYOUT.files_out, "files_out/"),
        (LAYOUT.shard("shard 1 (ü).zip"), "shards/shard 1 (ü).zip"),
        (LAYOUT.round(10), "rounds/10/"),
        (LAYOUT.commit(0), "rounds/0/commit.json"),
        (
            LAYOUT.round_file(3, LAYOUT.round_model_name(SHA)),
            "rounds/3/model-0123456789abcdef.safetensors",
        ),
        (LAYOUT.attempt(2), "attempts/2.json"),
        (
            LAYOUT.under(LAYOUT.scripts, "app/custom/model_def.py"),
            "scripts/app/custom/model_def.py",
        ),
    ],
)
def test_keys_are_those_of_the_contract(key: str, expected: str) -> None:
    """CONTRACT section 3: jobs/<namespace>/<name>/ and its folders."""
    assert key == f"team/a/jobs/default/digits/{expected}"


@pytest.mark.parametrize(
    ("prefix", "root"),
    [("", "jobs/n/j/"), ("a", "a/jobs/n/j/"), ("a/", "a/jobs/n/j/"), ("a/b/", "a/b/jobs/n/j/")],
)
def test_prefix(prefix: str, root: str) -> None:
    assert Layout("n", "j", prefix).root == root


ESCAPES = [
    "", ".", "..", "../x", "a/../b", "/etc/passwd", "a//b", "a/", "a\\b", "a\0b", "a\nb", "./a",
    "x" * 701, "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("path", ESCAPES)
def test_a_name_cannot_leave_its_folder(path: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        LAYOUT.shard(path)
    assert "use a relative path" in str(caught.value)
    with pytest.raises(InvalidInputError):
        LAYOUT.round_file(0, path)


def test_all_faults_of_the_names_are_reported_at_once() -> None:
    with pytest.raises(InvalidInputError) as caught:
        Layout("a/b", "..", "x/../y")
    assert [fault.field for fault in caught.value.faults] == [
        "metadata.namespace",
        "metadata.name",
        "spec.storage.prefix",
    ]


@pytest.mark.parametrize(
    ("key", "number"),
    [
        ("team/a/jobs/default/digits/rounds/0/commit.json", 0),
        ("team/a/jobs/default/digits/rounds/12/commit.json", 12),
        ("team/a/jobs/default/digits/rounds/012/commit.json", None),
        ("team/a/jobs/default/digits/rounds/-1/commit.json", None),
        ("team/a/jobs/default/digits/rounds/1/model-00.safetensors", None),
        ("team/a/jobs/default/digits/rounds/1/x/commit.json", None),
        ("jobs/default/digits/rounds/1/commit.json", None),
        ("team/a/jobs/default/digits/rounds/٣/commit.json", None),
    ],
)
def test_rounds_are_read_back_from_keys(key: str, number: int | None) -> None:
    assert LAYOUT.committed_round(key) == number


@pytest.mark.parametrize(
    ("key", "number"),
    [("attempts/7.json", 7), ("attempts/07.json", None), ("attempts/7.json.tmp", None)],
)
def test_attempts_are_read_back_from_keys(key: str, number: int | None) -> None:
    assert LAYOUT.attempt_number(LAYOUT.root + key) == number


def test_wrong_numbers_and_checksums_are_programming_errors() -> None:
    with pytest.raises(ValueError, match="from 0"):
        LAYOUT.round(-1)
    with pytest.raises(ValueError, match="from 0"):
        LAYOUT.attempt(-1)
    with pytest.raises(ValueError, match="SHA-256"):
        LAYOUT.round_model_name("../x")


def test_results_and_checkpoint_are_files_of_their_prefixes() -> None:
    layout = Layout("team", "digits")
    assert layout.result("report.html") == f"{layout.model_out}report.html"
    assert layout.checkpoint(".pt") == f"{layout.model}checkpoint.pt"
    with pytest.raises(InvalidInputError):
        layout.result("../x")
