"""Files and bytes as sources of an upload."""

import os

import pytest

from fedjob.engines.kubernetes.transfer.errors import FileChangedError
from fedjob.engines.kubernetes.transfer.upload_sources import LocalFile, MemoryFile, source_of


def test_file_is_read_from_where_it_is(tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(b"content")
    source = source_of(path)
    assert source.size == 7
    with source.open() as file:
        assert file.read() == b"content"
    source.check()


def test_file_that_changed_is_noticed_also_at_the_same_size(tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(b"content")
    source = LocalFile.at(path)
    path.write_bytes(b"CONTENT")
    os.utime(path, ns=(source.changed + 1, source.changed + 1))
    with pytest.raises(FileChangedError, match=r"a\.zip changed"):
        source.check()
    path.unlink()
    with pytest.raises(FileChangedError):
        source.check()


def test_bytes_can_be_read_several_times():
    source = source_of(b"content")
    assert isinstance(source, MemoryFile)
    assert source.size == 7
    for _ in range(2):
        with source.open() as file:
            assert file.read() == b"content"
    source.check()
    assert "content=" not in repr(source)
