"""A file is replaced whole or not at all."""

import os
import stat

import pytest

from fedjob import atomic_files
from fedjob.atomic_files import is_scratch, replacing, write_bytes, write_text


@pytest.fixture
def usual_umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_content_is_replaced_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")
    write_text(path, "nëw\n")
    assert path.read_bytes() == "nëw\n".encode()
    write_bytes(path, b"\0")
    assert path.read_bytes() == b"\0"
    assert names(tmp_path) == ["a.json"]


def test_old_content_stays_until_the_block_ends(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")
    with replacing(path) as scratch:
        scratch.write_text("new")
        assert path.read_text() == "old"
        assert scratch.parent == path.parent, "only within a folder is a rename one step"
    assert path.read_text() == "new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_error_leaves_the_old_file_and_no_scratch_file(tmp_path, error):
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(error), replacing(path) as scratch:  # noqa: PT012 - the block is the subject
        scratch.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize(("private", "mode"), [(True, 0o600), (False, 0o644)])
def test_mode(tmp_path, usual_umask, private, mode):
    path = tmp_path / "a"
    with replacing(path, private=private) as scratch:
        assert stat.S_IMODE(scratch.stat().st_mode) == mode
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_private_replaces_a_readable_file(tmp_path, usual_umask):
    path = tmp_path / "a"
    path.write_text("old")
    write_text(path, "secret", private=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_two_writers_at_once_both_end_and_the_last_wins(tmp_path):
    path = tmp_path / "a"
    with replacing(path) as first:
        first.write_text("first")
        write_text(path, "second")
        assert path.read_text() == "second"
    assert path.read_text() == "first"


def test_name_as_long_as_a_name_can_be(tmp_path):
    path = tmp_path / ("n" * 255)
    write_text(path, "x")
    assert path.read_text() == "x"


def test_durable_syncs_the_file_before_and_the_folder_after_the_rename(tmp_path, monkeypatch):
    synced = []
    path = tmp_path / "a"
    monkeypatch.setattr(
        atomic_files, "sync", lambda each: synced.append((each == tmp_path, path.exists()))
    )
    write_text(path, "x", durable=True)
    assert synced == [(False, False), (True, True)]


def test_scratch_file_is_known_by_its_name(tmp_path):
    with replacing(tmp_path / "a") as scratch:
        assert is_scratch(scratch.name)
    assert not is_scratch("a.part")
    assert not is_scratch(".part")


def test_sync_works_on_files_and_folders(tmp_path):
    write_text(tmp_path / "a", "x", durable=True)
    assert (tmp_path / "a").read_text() == "x"
