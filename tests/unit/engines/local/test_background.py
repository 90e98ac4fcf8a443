"""A run in a thread: its start, its end, and its errors in the caller's thread."""

import threading

import pytest

from fedjob.engines.local.background import BackgroundRun
from fedjob.engines.local.interruption import Interrupt
from fedjob.errors import InvalidInputError, UnavailableError


def test_start_returns_while_the_run_works():
    end = threading.Event()

    def work(interruption, started):
        started()
        end.wait(30)

    run = BackgroundRun(work)
    run.start()
    assert run.alive
    end.set()
    run.stop()
    assert not run.alive
    run.check()


def test_error_before_the_folder_is_held_is_raised_by_start():
    def work(interruption, started):
        raise InvalidInputError([])

    with pytest.raises(InvalidInputError):
        BackgroundRun(work).start()


def test_error_afterwards_is_raised_by_check():
    end = threading.Event()

    def work(interruption, started):
        started()
        end.wait(30)
        raise UnavailableError("the store is lost")

    run = BackgroundRun(work)
    run.start()
    end.set()
    run.stop()
    for _ in range(2):
        with pytest.raises(UnavailableError, match="the store is lost"):
            run.check()


def test_stop_reaches_the_run_through_its_interruption():
    ended_by = []

    def work(interruption, started):
        started()
        try:
            while True:
                interruption.check()
        except Interrupt as interrupt:
            ended_by.append(str(interrupt))

    run = BackgroundRun(work)
    run.start()
    run.stop()
    assert ended_by == ["request"]
