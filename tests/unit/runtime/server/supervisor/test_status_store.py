"""The status: one value with a sequence that readers wait on."""

from __future__ import annotations

import threading

from fedjob.protocol.server_status import ServerStatus
from fedjob_runtime.server.supervisor.status_store import KEPT_EVENTS, StatusStore


def test_sequence_grows_only_with_a_change() -> None:
    store = StatusStore(ServerStatus())
    store.update(completed=1)
    store.update(completed=1)
    assert store.status.sequence == 1


def test_faults_are_counted_by_kind() -> None:
    store = StatusStore(ServerStatus())
    for kind in ("worker", "worker", "store"):
        store.count(kind)
    assert store.status.retries == {"worker": 2, "store": 1}


def test_only_the_last_events_are_kept() -> None:
    store = StatusStore(ServerStatus())
    for number in range(KEPT_EVENTS + 5):
        store.event("Resumed", str(number))
    messages = [event.message for event in store.status.events]
    assert (len(messages), messages[0]) == (KEPT_EVENTS, "5")


def test_reader_waits_for_a_change_and_not_longer_than_it_asks() -> None:
    store = StatusStore(ServerStatus())
    assert store.wait(-1, 600).sequence == 0
    assert store.wait(0, 0.001).sequence == 0
    threading.Timer(0.01, lambda: store.update(completed=1)).start()
    assert store.wait(0, 600).completed == 1
