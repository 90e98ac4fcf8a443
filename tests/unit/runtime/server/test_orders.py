"""Lines between supervisor and agent: bounded in size and in time."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from fedjob_runtime.server.orders import MOST_LINE, Lines


@pytest.fixture
def ends() -> Iterator[tuple[Lines, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Lines(ours), theirs


def test_messages_arrive_one_by_one(ends: tuple[Lines, socket.socket]) -> None:
    lines, peer = ends
    peer.sendall(b'{"a": 1}\n{"b"')
    assert lines.receive(5) == {"a": 1}
    peer.sendall(b": 2}\n")
    assert lines.receive(5) == {"b": 2}
    lines.send({"c": "d"}, 5)
    assert peer.recv(100) == b'{"c": "d"}\n'
    peer.close()
    assert lines.receive(5) is None


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (b"no JSON\n", "Expecting value"),
        (b"[1]\n", "not a JSON object"),
        (b"[" * 100_000 + b"\n", "nested too deeply"),
        (b"\xff\n", "decode"),
        (b"1" * (MOST_LINE + 1), "a line has more than"),
    ],
    ids=["text", "list", "deep", "bytes", "endless"],
)
def test_other_lines_are_refused(
    ends: tuple[Lines, socket.socket], sent: bytes, message: str
) -> None:
    lines, peer = ends
    # The endless line is longer than what a socket holds.
    writer = threading.Thread(target=peer.sendall, args=(sent,), daemon=True)
    writer.start()
    with pytest.raises(ValueError, match=message):
        lines.receive(30)
    writer.join(30)


def test_line_that_drips_has_one_deadline(ends: tuple[Lines, socket.socket]) -> None:
    lines, peer = ends
    over = threading.Event()

    def drip() -> None:
        while not over.wait(0.02):
            peer.send(b" ")

    writer = threading.Thread(target=drip, daemon=True)
    writer.start()
    with pytest.raises(TimeoutError):
        lines.receive(0.2)
    over.set()
    writer.join(30)


def test_peer_that_reads_nothing_is_not_waited_for(ends: tuple[Lines, socket.socket]) -> None:
    lines, _ = ends
    # More than a socket holds.
    with pytest.raises(TimeoutError):
        lines.send({"text": "x" * 10_000_000}, 0.1)
