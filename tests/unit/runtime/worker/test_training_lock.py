"""One training at a time in a worker; a holder that lingers is ended."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedjob_runtime.worker import training_lock as module
from fedjob_runtime.worker.training_lock import training_lock


class Holder:
    """Another process's lock, which being killed releases.

    Attributes:
        killed: Process ids and signals that were sent.
    """

    def __init__(self, path: Path, pid: str) -> None:
        self.killed: list[tuple[int, int]] = []
        self._file = open(path, "w", encoding="ascii")  # noqa: SIM115 (closed by release)
        self._file.write(pid)
        self._file.flush()
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def kill(self, pid: int, number: int) -> None:
        self.killed.append((pid, number))
        self.release()

    def release(self) -> None:
        self._file.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "training.lock"


@contextlib.contextmanager
def held_by(path: Path, pid: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Holder]:
    holder = Holder(path, pid)
    monkeypatch.setattr(module.os, "kill", holder.kill)
    yield holder
    holder.release()


def is_free(path: Path) -> bool:
    with open(path, "a", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def test_the_lock_is_held_inside_only_and_names_the_holder(path: Path) -> None:
    with training_lock(path.parent):
        assert not is_free(path)
        assert path.read_text() == str(os.getpid())
    assert is_free(path)


def test_the_lock_is_released_when_training_raises(path: Path) -> None:
    with pytest.raises(KeyError), training_lock(path.parent):
        raise KeyError
    assert is_free(path)


def test_a_released_lock_names_nobody(path: Path) -> None:
    """The id could belong to another process by the time that somebody ends the holder."""
    with training_lock(path.parent):
        pass
    assert path.read_text() == ""


def test_a_holder_that_lingers_is_killed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with held_by(path, "4711", monkeypatch) as holder, training_lock(path.parent, grace=0.0):
        assert holder.killed == [(4711, signal.SIGKILL)]
        assert path.read_text() == str(os.getpid())


def test_a_holder_may_finish_in_the_grace_period(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with held_by(path, "4711", monkeypatch) as holder:
        monkeypatch.setattr(module.time, "sleep", lambda _: holder.release())
        with training_lock(path.parent, grace=60.0):
            assert holder.killed == []


@pytest.mark.parametrize("pid", ["", str(os.getpid())], ids=["unknown", "this process"])
def test_a_holder_is_not_killed_on_suspicion(
    path: Path, monkeypatch: pytest.MonkeyPatch, pid: str
) -> None:
    with held_by(path, pid, monkeypatch) as holder:
        ticks = iter(range(100))
        monkeypatch.setattr(module.time, "monotonic", lambda: float(next(ticks)))
        rest = [None, None, holder.release]
        monkeypatch.setattr(module.time, "sleep", lambda _: (rest.pop(0) or time.time)())
        with training_lock(path.parent, grace=0.0):
            assert holder.killed == []
    assert rest == []


def test_a_holder_that_ended_meanwhile_is_fine(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with held_by(path, "4711", monkeypatch) as holder:

        def gone(_pid: int, _number: int) -> None:
            holder.release()
            raise ProcessLookupError

        monkeypatch.setattr(module.os, "kill", gone)
        with training_lock(path.parent, grace=0.0):
            assert not is_free(path)
