"""A run in a thread of this process, for callers that go on with other work meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable

from fedjob.engines.local.interruption import Interruption


class BackgroundRun:
    """The thread of one run.

    The kernel ends the processes of a run with the thread that started them, so this thread lives
    as long as the run. It is a daemon: Python's exit ends the run, which can be resumed.
    """

    def __init__(self, work: Callable[[Interruption, Callable[[], None]], object]) -> None:
        """Starts nothing yet.

        Args:
            work: The run. Called with the interruption through which it is stopped, and with a
                function that it calls once it holds its folder.
        """
        self._interruption = Interruption()
        self._work = work
        self._started = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="fedjob-run", daemon=True)

    @property
    def alive(self) -> bool:
        """Whether the run has not ended."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start the thread, and wait until the run holds its folder.

        Raises:
            FedjobError: What kept it from starting.
        """
        self._thread.start()
        self._started.wait()
        self.check()

    def stop(self) -> None:
        """Ask the run to stop in order, and wait for its end."""
        self._interruption.request()
        self._thread.join()

    def check(self) -> None:
        """Raise the error that ended the run, if one did."""
        if self._error is not None:
            self._thread.join()
            raise self._error

    def _run(self) -> None:
        try:
            self._work(self._interruption, self._started.set)
        except BaseException as error:  # noqa: BLE001 - raised by `check`, in the caller's thread
            self._error = error
        finally:
            self._started.set()
