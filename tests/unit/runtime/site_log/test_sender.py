"""The log is sent when it has grown, and a store that fails costs nothing but the log."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import cast

from fedjob_runtime.site_log.capture import LogCapture
from fedjob_runtime.site_log.sender import LogSender


class FakeCapture:
    """A log that the test writes."""

    def __init__(self) -> None:
        self.data = b""

    @property
    def written(self) -> int:
        return len(self.data)

    def tail(self) -> bytes:
        return self.data


class Store:
    """What was sent; `error` is raised, `known` is returned."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.error: OSError | None = None
        self.known = True
        self.arrived = threading.Event()

    def __call__(self, data: bytes) -> bool:
        if self.error is not None:
            raise self.error
        if self.known:
            self.sent.append(data)
            self.arrived.set()
        return self.known


def made(every: float = 60.0) -> tuple[FakeCapture, Store, list[str], LogSender]:
    capture, store, lines = FakeCapture(), Store(), list[str]()
    sender = LogSender(cast(LogCapture, capture), store, lines.append, every)
    return capture, store, lines, sender


def test_only_a_log_that_has_grown_is_sent() -> None:
    capture, store, _, sender = made()
    capture.data = b"one"
    sender.send_now()
    sender.send_now()
    capture.data = b"one two"
    sender.send_now()
    assert store.sent == [b"one", b"one two"]


def test_a_failure_is_reported_once_and_tried_again() -> None:
    capture, store, lines, sender = made()
    capture.data, store.error = b"one", OSError("the store answered 503")
    sender.send_now()
    sender.send_now()
    assert lines == ["the log could not be kept: the store answered 503; it is tried again"]
    store.error = None
    sender.send_now()
    assert store.sent == [b"one"]
    store.error = OSError("again")
    capture.data = b"one two"
    sender.send_now()
    assert len(lines) == 2


def test_a_log_whose_place_is_not_known_yet_is_sent_later() -> None:
    capture, store, lines, sender = made()
    capture.data, store.known = b"one", False
    sender.send_now()
    store.known = True
    sender.send_now()
    assert store.sent == [b"one"]
    assert lines == []


def test_a_thread_sends_it_while_the_process_runs(tmp_path: Path) -> None:
    capture, store, _, sender = made(every=0.01)
    capture.data = b"one"
    with sender:
        assert store.arrived.wait(30)
    assert store.sent[0] == b"one"
