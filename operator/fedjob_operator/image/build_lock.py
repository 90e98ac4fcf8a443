"""At most one build of an image at a time within this process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakValueDictionary

from fedjob_operator.stage_run import thread_run

_locks: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()
_guard = threading.Lock()
_LOOK_SECONDS = 0.2
"""Between two looks whether the waiting run has ended: a lock has no socket to close."""


@contextmanager
def build_lock(image: str) -> Iterator[None]:
    """Waits until no other thread builds `image`; the caller then finds the finished image.

    Args:
        image: `registry/repository:tag`.

    Raises:
        RunEndedError: The run of the stage has ended while it waited.
    """
    with _guard:
        lock = _locks.setdefault(image, threading.Lock())
    run = thread_run()
    while not lock.acquire(timeout=_LOOK_SECONDS):
        if run is not None:
            run.check()
    try:
        yield
    finally:
        lock.release()
