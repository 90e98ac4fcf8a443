"""Follows each running server's /status by long poll, and wakes its job when something changed.

A server's sequence grows with every heartbeat; a status that differs in heartbeats alone, within
HEARTBEAT_SECONDS, wakes nothing.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp

from fedjob.errors import UnavailableError
from fedjob.protocol import status_poll
from fedjob.protocol.server_status import ServerStatus
from fedjob.protocol.status_poll import Follower
from fedjob_operator.kube.client import Cluster
from fedjob_operator.naming import Key
from fedjob_operator.planning.status_writes import HEARTBEAT_SECONDS
from fedjob_operator.resources.pod_contract import HTTP_PORT
from fedjob_operator.state.cache import Cache
from fedjob_operator.state.observed import ServerView

WAIT_SECONDS = 5
"""How long a long poll waits for a change."""
WHOLE_SECONDS = 10.0
"""From a poll's first byte to the last of its answer, however slowly bytes arrive."""
RETRY_SECONDS = 1.0
"""Before a server that did not answer is asked again."""
PAUSE_SECONDS = 0.3
"""Between two answers: bounds the cost of a server that changes all the time."""
MAX_STATUS = 4 << 20
"""Bytes of a status; one of 256 workers has some 100 KiB."""

_log = logging.getLogger("fedjob.poll")


class SilentServerError(UnavailableError):
    """A server does not answer, or its answer is not a status."""


@dataclass(frozen=True, slots=True)
class Target:
    """The pod of a server.

    Attributes:
        uid: Uid of the pod.
        name: Name of the pod.
        ip: Its address.
    """

    uid: str
    name: str
    ip: str


def significant(status: ServerStatus) -> ServerStatus:
    """The status with rounded heartbeats and without its sequence: what is worth a reconcile."""
    clients = [
        client.model_copy(
            update={"last_heartbeat": client.last_heartbeat // HEARTBEAT_SECONDS}
            if client.last_heartbeat is not None
            else {}
        )
        for client in status.clients
    ]
    return status.model_copy(update={"clients": clients, "sequence": 0})


class Poller:
    """One task for each running server.

    Args:
        cluster: For polls through the API server; None polls pods directly.
        cache: Gets the servers' statuses.
        wake: Has a job reconciled.
    """

    def __init__(
        self,
        cluster: Cluster | None,
        cache: Cache,
        wake: Callable[[Key], None],
    ) -> None:
        self._cluster, self._cache, self._wake = cluster, cache, wake
        self._tasks: dict[Key, tuple[Target, asyncio.Task[None]]] = {}
        self._session: aiohttp.ClientSession | None = None

    def follow(self, key: Key, target: Target | None) -> None:
        """Follows this pod instead of the job's last one; None: stops following."""
        known = self._tasks.get(key)
        if known is not None and known[0] == target and not known[1].done():
            return
        if known is not None:
            known[1].cancel()
            del self._tasks[key]
        if target is not None:
            task = asyncio.create_task(self._follow(key, target))
            self._tasks[key] = (target, task)

    async def close(self) -> None:
        """Stops following every server."""
        tasks = [task for _, task in self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _follow(self, key: Key, target: Target) -> None:
        follower = Follower()
        last: ServerStatus | None = None
        while True:
            try:
                status = await self._ask(key, target, follower.since)
            except UnavailableError as error:
                _log.debug(str(error), extra={"job": "/".join(key)})
                follower.lost()
                await asyncio.sleep(RETRY_SECONDS)
                continue
            # Heartbeats alone wake nobody.
            reduced = significant(status)
            if follower.is_new(status) and reduced != last:
                last = reduced
                self._cache.learn(key, server=ServerView(pod=target.uid, status=status))
                self._wake(key)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _ask(self, key: Key, target: Target, since: int | None) -> ServerStatus:
        query = status_poll.query(since, WAIT_SECONDS)
        try:
            async with asyncio.timeout(WHOLE_SECONDS):
                text = await self._text(key, target, query)
        except TimeoutError as error:
            message = f"{target.name}: no whole answer within {WHOLE_SECONDS:g} s; see its log"
            raise SilentServerError(message) from error
        status = status_poll.parse(text)
        if status is None:
            raise SilentServerError(f"{target.name}: the answer is not a status; see its log")
        return status

    async def _text(self, key: Key, target: Target, query: str) -> str:
        if self._cluster is None:
            return await self._direct(target, query)
        answer = await self._cluster.proxy(key[0], target.name, HTTP_PORT, "status", query)
        return json.dumps(answer)

    async def _direct(self, target: Target, query: str) -> str:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=WHOLE_SECONDS, connect=5)
            self._session = aiohttp.ClientSession(timeout=timeout)
        host = f"[{target.ip}]" if ":" in target.ip else target.ip
        try:
            url = f"http://{host}:{HTTP_PORT}/status?{query}"
            # The pod runs the author's code: it must not send the operator elsewhere, nor fill its
            # memory.
            async with self._session.get(url, allow_redirects=False) as answer:
                if answer.status != 200:
                    raise SilentServerError(f"{target.name}: answered {answer.status}; see its log")
                return (await _bounded(answer.content, target.name)).decode("utf-8", "replace")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise SilentServerError(f"{target.name}: {error!r}; the operator asks again") from error


async def _bounded(stream: aiohttp.StreamReader, name: str) -> bytes:
    """All of a body that has at most `MAX_STATUS` bytes."""
    data = bytearray()
    async for chunk in stream.iter_any():
        data += chunk
        if len(data) > MAX_STATUS:
            raise SilentServerError(
                f"{name}: its status has more than {MAX_STATUS} bytes; see its log"
            )
    return bytes(data)
