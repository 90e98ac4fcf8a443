"""One run per folder."""

import json
import os

import pytest

from fedjob.engines.local.lock import FolderInUseError, RunLock, read_holder
from fedjob.engines.local.run_folder import RunFolder
from fedjob.errors import EXIT_UNAVAILABLE


def test_second_holder_gets_the_name_of_the_first(tmp_path):
    folder = RunFolder.at(tmp_path)
    with RunLock(folder.lock):
        with pytest.raises(FolderInUseError) as caught, RunLock(folder.lock):
            pytest.fail("two processes hold the lock")
        assert caught.value.pid == os.getpid()
        assert caught.value.exit_code == EXIT_UNAVAILABLE
        for text in (str(tmp_path), f"kill {os.getpid()}", "--out"):
            assert text in str(caught.value)
    with RunLock(folder.lock):
        assert read_holder(folder.lock)[0] == os.getpid()


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path):
    folder = RunFolder.at(tmp_path)
    folder.state.mkdir()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:  # holds the lock until it is killed
        os.close(reader)
        lock = RunLock(folder.lock)
        lock.__enter__()
        os.write(writer, b"x")
        os.pause() if hasattr(os, "pause") else __import__("signal").pause()
    os.close(writer)
    assert os.read(reader, 1) == b"x"
    with pytest.raises(FolderInUseError), RunLock(folder.lock):
        pytest.fail("the child holds the lock")
    os.kill(child, 9)
    os.waitpid(child, 0)
    assert json.loads(folder.lock.read_text())["pid"] == child
    with RunLock(folder.lock):
        assert read_holder(folder.lock)[0] == os.getpid()


def test_a_lock_file_with_rubbish_names_nobody(tmp_path):
    (tmp_path / "lock").write_text("rubbish")
    assert read_holder(tmp_path / "lock") == (None, None)
