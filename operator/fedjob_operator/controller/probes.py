"""/healthz, /readyz and /metrics, on the operator's event loop: a blocked loop does not answer."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from fedjob_operator.controller.workqueue import Health
from fedjob_operator.metrics import REGISTRY
from fedjob_operator.stages.lanes import StagesHealth


class HealthServer:
    """Serves the operator's state.

    Args:
        port: TCP port; 0 takes a free one.
        health: The queue's health; None while this operator waits for the lease.
        refresh: Called before metrics are written.
        stages: The stages' health. One that cannot be ended makes the operator unhealthy: only a
            new process gets its thread back.
    """

    def __init__(
        self,
        port: int,
        health: Callable[[], Health | None],
        refresh: Callable[[], None],
        stages: Callable[[], StagesHealth],
    ) -> None:
        self._port, self._health, self._refresh, self._stages = port, health, refresh, stages
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(app, access_log=None)

    async def start(self) -> int:
        """Begins to serve; returns the port."""
        await self._runner.setup()
        listener = web.TCPSite(self._runner, port=self._port)
        await listener.start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Closes the port."""
        await self._runner.cleanup()

    async def _healthz(self, _: web.Request) -> web.Response:
        health = self._health()
        if health is None:
            return web.Response(text="waiting for the lease\n")
        stages = self._stages()
        ok = health.ok and stages.ok
        text = (
            f"{'ok' if ok else 'stuck'}: {health.waiting} waiting, the oldest for "
            f"{health.oldest_waiting:.1f} s; the oldest at work for {health.oldest_active:.1f} s\n"
        )
        if stages.oldest:
            late = "" if stages.ok else "; a stage is over its deadline and cannot be ended"
            text += f"oldest stage: {stages.oldest}, for {stages.seconds:.1f} s{late}\n"
        return web.Response(text=text, status=200 if ok else 503)

    async def _readyz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _metrics(self, _: web.Request) -> web.Response:
        self._health()
        self._stages()
        self._refresh()
        return web.Response(
            body=generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )
