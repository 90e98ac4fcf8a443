"""An operator in a thread of this process, which a test can freeze and kill.

A process of its own would cost seconds of CPU for its imports, and there are hundreds of cases.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any

from kubernetes.aio.client import ApiClient, Configuration

from e2e.faults.fault_proxy import Proxy
from fedjob_operator.main import Operator
from fedjob_operator.settings import read_settings

LAST_SECONDS = 5.0
"""Seconds that the tasks of a killed operator get to end."""
ABANDONED_LOOPS: list[object] = []
"""Loops whose tasks ignored their cancellation, kept so that they are not collected mid-test."""


class OperatorThread:
    """One operator, from its start to its end.

    Args:
        environment: The operator's settings.
        proxy: Its only path to the API server.
    """

    def __init__(self, environment: dict[str, str], proxy: Proxy) -> None:
        self.proxy = proxy
        self.operator: Operator | None = None
        self.code: int | None = None
        self.error: BaseException | None = None
        self.may_end = False
        """Whether the test has given it a reason to end."""
        self._environment = environment
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._main, name="operator", daemon=True)
        self._thread.start()
        self._started.wait(30)

    def _main(self) -> None:
        loop = self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(self._run())
        except asyncio.CancelledError:
            pass
        except BaseException as error:  # noqa: BLE001 (the test inspects it)
            self.error = error
        finally:
            self._started.set()
            left = asyncio.all_tasks(loop)
            for task in left:
                task.cancel()
            if left:
                loop.run_until_complete(asyncio.wait(left, timeout=LAST_SECONDS))
            # Tasks that ignore the cancellation never run again.
            ABANDONED_LOOPS.append((loop, asyncio.all_tasks(loop)))
            loop.close()

    async def _run(self) -> None:
        configuration = Configuration(host=self.proxy.url, connection_pool_maxsize=0)
        async with ApiClient(configuration) as client:
            settings = read_settings(self._environment)
            self.operator = Operator(settings, self._environment, client)
            self._task = asyncio.ensure_future(self.operator.run())
            self._started.set()
            self.code = await self._task

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()

    def is_busy(self, seconds: float = 3.0) -> bool:
        """Whether work is in progress, or due within this many seconds."""
        if self.operator is None:
            return True
        work, stages = self.operator._queue, self.operator._preparer
        soon = self._loop.time() + seconds
        due = [timer for timer in list(work._timers.values()) if timer.when() < soon]
        return bool(due or work._waiting or work._active or stages._tasks)

    def call(self, what: Callable[[], Any]) -> None:
        """Runs a function in the operator's loop."""
        self._loop.call_soon_threadsafe(what)

    def freeze(self) -> threading.Event:
        """Blocks its loop, as if the process got no CPU; setting the result unblocks it."""
        thaw = threading.Event()
        self.may_end = True
        self.call(thaw.wait)
        return thaw

    def kill(self) -> None:
        """Cuts off its calls and cancels all its tasks."""
        self.may_end = True
        self.proxy.cut()

        def end() -> None:
            for task in asyncio.all_tasks():
                task.cancel()

        with contextlib.suppress(RuntimeError):  # it has ended by itself
            self.call(end)

    async def join(self) -> None:
        """Waits until its thread has ended."""
        await asyncio.to_thread(self._thread.join)
