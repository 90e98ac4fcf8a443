"""What the agent prints reaches the supervisor's own output."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from fedjob_runtime.server.supervisor.log_relay import LogRelay


class Output:
    """Keeps what is written; waits for a text."""

    def __init__(self) -> None:
        self.data = b""
        self._changed = threading.Condition()

    def write(self, data: bytes) -> None:
        with self._changed:
            self.data += data
            self._changed.notify_all()

    def wait_for(self, text: bytes) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: text in self.data, 30), self.data


@pytest.fixture
def log(tmp_path: Path) -> Path:
    (tmp_path / "log").mkdir()
    return tmp_path / "log/site.log"


def append(path: Path, text: bytes) -> None:
    with path.open("ab") as file:
        file.write(text)


def test_new_output_is_copied_across_a_rotation(tmp_path: Path, log: Path) -> None:
    output = Output()
    with LogRelay(tmp_path, output.write, every=0.01):
        append(log, b"one\n")
        output.wait_for(b"one\n")
        append(log, b"two\n")
        log.replace(log.with_suffix(".1"))
        append(log, b"three\n")
        output.wait_for(b"three\n")
        append(log, b"four\n")
    assert output.data == b"one\ntwo\nthree\nfour\n"


def test_what_an_earlier_supervisor_copied_is_not_copied_again(tmp_path: Path, log: Path) -> None:
    append(log, b"before\n")
    output = Output()
    with LogRelay(tmp_path, output.write, every=0.01):
        append(log, b"after\n")
    assert output.data == b"after\n"


def test_something_else_in_its_place_is_not_read(tmp_path: Path, log: Path) -> None:
    (tmp_path / "secret").write_text("of the supervisor")
    log.symlink_to(tmp_path / "secret")
    output = Output()
    with LogRelay(tmp_path, output.write, every=0.01):
        pass
    assert output.data == b""
