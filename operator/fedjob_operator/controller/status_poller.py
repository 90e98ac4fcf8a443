"""Follows each running server's /status by long-poll, and wakes its job when something changed.

A server's sequence grows with every heartbeat; what differs in heartbeats alone, within a minute,
wakes nobody.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp
from pydantic import ValidationError

from fedjob.errors import UnavailableError
from fedjob.protocol.server_status import ServerStatus
from fedjob_operator.kube.client import Cluster
from fedjob_operator.naming import Key
from fedjob_operator.planning.status import HEARTBEAT_SECONDS
from fedjob_operator.resources.ports import HTTP_PORT
from fedjob_operator.state.cache import Cache
from fedjob_operator.state.observed import ServerView

WAIT_SECONDS = 20
RETRY_SECONDS = 1.0
PAUSE_SECONDS = 0.3
"""Between two answers: bounds what a server that changes all the time costs."""

_log = logging.getLogger("fedjob.poll")


class SilentServerError(UnavailableError):
    """A server does not answer, or answers something else."""


@dataclass(frozen=True, slots=True)
class Target:
    """A server's pod."""

    uid: str
    name: str
    ip: str


def significant(status: ServerStatus) -> ServerStatus:
    """The status with heartbeats rounded and without its sequence: what is worth a reconcile."""
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
    """One task a running server.

    Args:
        cluster: For polls through the API server; None polls pods directly.
        world: Gets what servers say.
        wake: Has a job reconciled.
    """

    def __init__(self, cluster: Cluster | None, world: Cache, wake: Callable[[Key], None]) -> None:
        self._cluster, self._world, self._wake = cluster, world, wake
        self._tasks: dict[Key, tuple[Target, asyncio.Task[None]]] = {}
        self._session: aiohttp.ClientSession | None = None

    def follow(self, key: Key, target: Target | None) -> None:
        """Follows this pod from now on, and no other; None follows none."""
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
        """Follows nothing any more."""
        tasks = [task for _, task in self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _follow(self, key: Key, target: Target) -> None:
        since: int | None = None
        last: ServerStatus | None = None
        while True:
            try:
                status = await self._ask(key, target, since)
            except UnavailableError as error:
                _log.debug(str(error), extra={"job": "/".join(key)})
                since = None  # a server that starts anew counts from 0 again
                await asyncio.sleep(RETRY_SECONDS)
                continue
            since = status.sequence
            told = significant(status)
            if told != last:
                last = told
                self._world.learn(key, server=ServerView(target.uid, status))
                self._wake(key)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _ask(self, key: Key, target: Target, since: int | None) -> ServerStatus:
        query = f"since={since}&wait={WAIT_SECONDS}" if since is not None else "wait=0"
        if self._cluster is not None:
            answer = await self._cluster.proxy(key[0], target.name, HTTP_PORT, "status", query)
            text = json.dumps(answer)
        else:
            text = await self._direct(target, query)
        try:
            return ServerStatus.model_validate_json(text)
        except ValidationError as error:
            raise SilentServerError(f"{target.name}: no status: {error}") from None

    async def _direct(self, target: Target, query: str) -> str:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=WAIT_SECONDS + 10, connect=5)
            self._session = aiohttp.ClientSession(timeout=timeout)
        host = f"[{target.ip}]" if ":" in target.ip else target.ip
        try:
            async with self._session.get(f"http://{host}:{HTTP_PORT}/status?{query}") as answer:
                text = await answer.text()
                if answer.status == 200:
                    return text
                raise SilentServerError(f"{target.name}: answered {answer.status}; see its log")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise SilentServerError(f"{target.name}: {error!r}; it is asked again") from error
