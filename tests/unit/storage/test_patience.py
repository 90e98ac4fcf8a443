"""How long and how often an unreachable store is asked again."""

from __future__ import annotations

import pytest

from fedjob.storage.errors import CredentialsRefusedError, StoreUnreachableError, Where
from fedjob.storage.patience import Patience

WHERE = Where("b", "http://127.0.0.1:1", "k")


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


class Store:
    """Unreachable for so many calls."""

    def __init__(self, down: int) -> None:
        self.down = down
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.down:
            raise StoreUnreachableError(WHERE, "no answer", "try again")
        return "answer"


def test_waits_out_a_store_that_returns_and_counts_each_retry() -> None:
    """Row 29."""
    clock, store = Clock(), Store(down=7)
    retried: list[StoreUnreachableError] = []
    patience = Patience(120, retried.append, clock=clock, sleep=clock.sleep)
    assert patience.call(store) == "answer"
    assert store.calls == 8
    assert len(retried) == 7
    assert all(0.125 <= wait <= 5.4 for wait in clock.waits)
    assert clock.waits[-1] > clock.waits[0]


def test_reconnects_before_each_further_try() -> None:
    clock, store = Clock(), Store(down=3)
    calls: list[int] = []
    patience = Patience(120, clock=clock, sleep=clock.sleep)
    assert patience.call(store, lambda: calls.append(store.calls)) == "answer"
    assert calls == [1, 2, 3]


def test_gives_up_at_its_end_with_the_last_error() -> None:
    clock, store = Clock(), Store(down=10_000)
    with pytest.raises(StoreUnreachableError, match="no answer; try again"):
        Patience(30, clock=clock, sleep=clock.sleep).call(store)
    assert clock.now == pytest.approx(30)  # the last try is at the end, not after it


def test_refusal_is_not_tried_again() -> None:
    calls: list[int] = []

    def refused() -> None:
        calls.append(1)
        raise CredentialsRefusedError(WHERE, "refused", "set the keys")

    with pytest.raises(CredentialsRefusedError):
        Patience().call(refused)
    assert len(calls) == 1


def test_no_patience_tries_once() -> None:
    store = Store(down=1)
    with pytest.raises(StoreUnreachableError):
        Patience(0).call(store)
    assert store.calls == 1
