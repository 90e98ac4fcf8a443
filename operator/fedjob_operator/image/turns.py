"""One builder of an image at a time, within this process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakValueDictionary

_locks: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()
_guard = threading.Lock()


@contextmanager
def one_at_a_time(image: str) -> Iterator[None]:
    """Waits until nobody else in this process makes `image`: then it is there, and found.

    Args:
        image: `registry/repository:tag`.
    """
    with _guard:
        lock = _locks.setdefault(image, threading.Lock())
    with lock:
        yield
