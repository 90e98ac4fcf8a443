"""The training lock: one training at a time in a worker, whatever its job processes do.

A new segment may start while a job process of an older one still trains: NVFlare lets it linger for
up to 17 s. The older one gets a moment to finish, since what it finishes is kept and answered
without training again, and is then ended. So a round is not trained twice, and two processes never
share a GPU.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

GRACE_SECONDS = 5.0


@contextlib.contextmanager
def training_lock(home: Path, grace: float = GRACE_SECONDS) -> Iterator[None]:
    """Holds the worker's training lock; ends the holder that keeps it longer than `grace`.

    Args:
        home: The worker's folder; its lock file has the pid of the holder.
        grace: Seconds in which an older job process may finish.
    """
    path = home / "training.lock"
    with open(path, "a+", encoding="ascii") as file:
        deadline = time.monotonic() + grace
        ended = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline and not ended:
                    ended = _end_holder(path)
                time.sleep(0.05)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        finally:
            # Else whoever waits could end this process while the next one holds the lock.
            file.truncate(0)
            fcntl.flock(file, fcntl.LOCK_UN)


def _end_holder(path: Path) -> bool:
    try:
        holder = int(path.read_text())
    except ValueError:
        return False
    if holder == os.getpid():
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(holder, signal.SIGKILL)
    return True
