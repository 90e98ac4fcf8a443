"""Rows 17 and 39: a folder becomes the same ZIP each time."""

import os

import pytest

from fedjob.workspace.shard.archive import (
    InvalidShardError,
    pack_shard,
    unpack_shard,
)
from support.workspace.shard_zips import GOOD, files_below


def test_packing_is_deterministic_and_can_be_unpacked(tmp_path):
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    for name, content in {**GOOD, ".DS_Store": b"x"}.items():
        (folder / name).write_bytes(content)
    first = pack_shard(folder, tmp_path / "a.zip").read_bytes()
    os.utime(folder / "images/a.png", (1, 1))
    (folder / "images/a.png").chmod(0o600)
    assert pack_shard(folder, folder / "b.zip").read_bytes() == first
    assert pack_shard(folder, folder / "b.zip").read_bytes() == first  # does not hold itself
    unpack_shard(tmp_path / "a.zip", tmp_path / "out")
    assert files_below(tmp_path / "out") == GOOD
    assert not list(tmp_path.glob(".*"))


def test_a_folder_that_is_no_shard_is_not_packed(tmp_path):
    with pytest.raises(InvalidShardError, match="is not a folder"):
        pack_shard(tmp_path / "none", tmp_path / "a.zip")
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "link").symlink_to("/etc/passwd")
    (folder / "back\\slash").write_bytes(b"")
    with pytest.raises(InvalidShardError) as caught:
        pack_shard(folder, tmp_path / "a.zip")
    assert "has no manifest.ndjson" in str(caught.value)
    assert "link: is a link" in str(caught.value)
    assert "has a backslash in its name" in str(caught.value)
    assert not (tmp_path / "a.zip").exists()


def test_a_folder_of_any_files_is_packed_where_no_manifest_is_needed(tmp_path):
    """Row 17: forms A and B."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "train.csv").write_bytes(b"1,2\n")
    path = pack_shard(folder, tmp_path / "a.zip", None)
    info = unpack_shard(path, tmp_path / "out", manifest_file=None)
    assert (info.files, info.manifest) == (1, None)
    assert (tmp_path / "out/train.csv").read_bytes() == b"1,2\n"
