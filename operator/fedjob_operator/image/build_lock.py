"""At most one build of an image at a time within this process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakValueDictionary

_locks: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()
_guard = threading.Lock()


@contextmanager
def build_lock(image: str) -> Iterator[None]:
    """Waits until no other thread builds `image`; the caller then finds the finished image.

    Args:
        image: `registry/repository:tag`.
    """
    with _guard:
        lock = _locks.setdefault(image, threading.Lock())
    with lock:
        yield
