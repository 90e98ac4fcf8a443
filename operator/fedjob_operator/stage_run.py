"""One run of a stage: what its threads have open, and how all of it is ended at once.

A stage does blocking I/O in threads, and Python cannot end a thread. A timeout between two bytes
does not help against a peer that sends one byte every few seconds. So a run knows the sockets that
its threads use, and ending the run shuts them down: what waits for a peer fails within
milliseconds. New connections and requests of an ended run are refused, so its retries fail, too.

The sockets are found by CPython's audit events, which are raised in the thread that acts. That
covers boto3, requests and docker without a change to any of them, and a connection of a shared pool
belongs to the run that sent a request by it last.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import ContextVar, copy_context
from functools import partial
from typing import Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

P = ParamSpec("P")
T = TypeVar("T")


class RunEndedError(ConnectionError):
    """The run of the stage is over: its job was deleted, or its time is up.

    Nobody sees it but the thread that has to end.
    """


_lock = threading.RLock()
_owners: WeakKeyDictionary[socket.socket, StageRun] = WeakKeyDictionary()
"""The run that uses a socket; the last one where connections are kept in a pool."""
_current: ContextVar[StageRun | None] = ContextVar("stage_run", default=None)
_in_thread: ContextVar[StageRun | None] = ContextVar("stage_run_thread", default=None)
"""Apart from `_current`, because the event loop's own connections serve all runs."""


class StageRun:
    """One run of a stage. Its methods may be called from any thread, `run` from the event loop.

    Attributes:
        name: What runs, such as `team/digits: image`; its threads are called so.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._ended = False
        self._threads = 0
        self._closers: set[Callable[[], None]] = set()
        self._when_done: list[Callable[[], None]] = []

    def enter(self) -> None:
        """Makes this the run of the current task."""
        _watch_sockets()
        _current.set(self)

    async def run(self, call: Callable[[], T]) -> T:
        """Calls a blocking function in a thread of its own.

        A daemon thread and no pool: a thread that waits for a peer must keep neither another stage
        nor the end of the process waiting.

        Raises:
            RunEndedError: The run has ended.
        """
        result: Future[T] = Future()
        result.set_running_or_notify_cancel()
        context = copy_context()

        def body() -> None:
            try:
                result.set_result(context.run(self._call, call))
            except BaseException as error:  # noqa: BLE001 (belongs to the task that waits)
                result.set_exception(error)
            finally:
                self._thread_ended()

        with _lock:
            self.check()
            self._threads += 1
        threading.Thread(target=body, name=self.name, daemon=True).start()
        found = await asyncio.wrap_future(result)
        self.check()  # http.client takes a connection that is shut down for the end of an answer
        return found

    def _call(self, call: Callable[[], T]) -> T:
        _in_thread.set(self)
        return call()

    def check(self) -> None:
        """Raises RunEndedError where the run has ended."""
        if self._ended:
            raise RunEndedError(f"{self.name}: it has ended, its job is deleted or its time is up")

    @contextlib.contextmanager
    def closing(self, close: Callable[[], None]) -> Any:
        """While inside, ending the run calls `close`, such as the `kill` of a subprocess."""
        with _lock:
            self.check()
            self._closers.add(close)
        try:
            yield
        finally:
            with _lock:
                self._closers.discard(close)

    def end(self) -> None:
        """Ends everything that its threads wait for; a run that has ended stays so."""
        with _lock:
            self._ended = True
            used = [found for found, run in _owners.items() if run is self]
            closers = list(self._closers)
            for found in used:
                del _owners[found]
        for found in used:
            with contextlib.suppress(OSError):  # closed or not connected
                # Not the method of SSLSocket, which drops its state under the thread that reads.
                socket.socket.shutdown(found, socket.SHUT_RDWR)
        for close in closers:
            close()

    def when_done(self, call: Callable[[], None]) -> None:
        """Calls `call` once no thread is left; at once where there is none, else in the last."""
        with _lock:
            if self._threads:
                self._when_done.append(call)
                return
        call()

    def _thread_ended(self) -> None:
        with _lock:
            self._threads -= 1
            calls = [] if self._threads else self._when_done
            if calls:
                self._when_done = []
        for call in calls:
            call()

    def _uses(self, found: socket.socket) -> None:
        with _lock:
            self.check()
            _owners[found] = self


async def run_blocking(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Calls a blocking function in a thread of the current run; without a run as asyncio does."""
    bound = partial(call, *args, **kwargs)
    run = _current.get()
    return await (asyncio.to_thread(bound) if run is None else run.run(bound))


def thread_run() -> StageRun | None:
    """The run that this thread works for."""
    return _in_thread.get()


def in_same_run(call: Callable[P, T]) -> Callable[P, T]:
    """`call`, for threads of a pool: whatever they open belongs to the run of this thread."""
    run = _in_thread.get()

    def carried(*args: P.args, **kwargs: P.kwargs) -> T:
        token = _in_thread.set(run)
        try:
            return call(*args, **kwargs)
        finally:
            _in_thread.reset(token)

    return carried


def _watch_sockets() -> None:
    global _watching
    with _lock:
        if not _watching:
            _watching = True
            sys.addaudithook(_audit)


_watching = False
_EVENTS = frozenset({"socket.connect", "http.client.send"})


def _audit(event: str, args: tuple[Any, ...]) -> None:
    """Called for everything that the process does, so the first line decides its cost."""
    if event not in _EVENTS:
        return
    run = _in_thread.get()
    if run is None:
        return
    run.check()
    if event == "socket.connect":
        run._uses(args[0])
    elif args[0].sock is not None:
        run._uses(args[0].sock)
