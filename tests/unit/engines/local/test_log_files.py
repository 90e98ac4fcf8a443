"""One log file a process, over several starts of it."""

import threading

import pytest

from fedjob.engines.local.log_files import (
    all_lines,
    followed,
    is_start,
    lines_of_start,
    start_line,
)


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "worker-0.log"
    path.write_bytes(
        f"{start_line('worker-0')}one\ntw\xff\n{start_line('worker-0')}three\r\nfour".encode(
            "latin-1"
        )
    )
    return path


def test_last_start_the_one_before_and_all(log):
    assert list(lines_of_start(log)) == ["three", "four"]
    assert list(lines_of_start(log, previous=True)) == ["one", "tw\ufffd"]
    assert list(all_lines(log)) == ["one", "tw\ufffd", "three", "four"]


def test_log_without_start_lines_is_one_start(tmp_path):
    path = tmp_path / "server.log"
    path.write_text("a\nb\n")
    assert list(lines_of_start(path)) == ["a", "b"]
    assert list(lines_of_start(path, previous=True)) == []


def test_process_that_started_once_has_no_previous_start(tmp_path):
    path = tmp_path / "server.log"
    path.write_text(start_line("server") + "a\n")
    assert list(lines_of_start(path)) == ["a"]
    assert list(lines_of_start(path, previous=True)) == []


def test_followed_log_ends_with_the_run_and_contains_restarts(log):
    alive = threading.Event()
    alive.set()
    lines = followed(log, alive.is_set)
    assert next(lines) == "three"
    with open(log, "a") as file:
        file.write(f" and a half\n{start_line('worker-0')}five\nsix")
    assert next(lines) == "four and a half"
    assert next(lines) == "five"
    alive.clear()
    assert list(lines) == ["six"]


def test_start_lines_are_recognised():
    assert is_start(start_line("server"))
    assert not is_start("server starts")
