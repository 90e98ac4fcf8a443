"""Waits that end when the run is asked to stop."""

from __future__ import annotations

import threading

import pytest

from fedjob_runtime.server.clock import StoppableClock, Stopped, SystemClock


def test_time_passes_in_waits() -> None:
    clock = SystemClock()
    before = clock.monotonic()
    clock.sleep(0.01)
    assert clock.monotonic() - before >= 0.01
    assert clock.time() > 1_700_000_000


def test_stop_ends_the_current_wait_and_every_later_one() -> None:
    clock = StoppableClock()
    clock.sleep(0.001)
    assert not clock.stopped(0)
    threading.Timer(0.01, clock.stop).start()
    with pytest.raises(Stopped):
        clock.sleep(600)
    with pytest.raises(Stopped):
        clock.sleep(600)
    assert clock.stopped(600)
