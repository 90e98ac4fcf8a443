"""/healthz, /readyz and /metrics of the operator."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from fedjob_operator.controller.probes import HealthServer
from fedjob_operator.controller.workqueue import Health
from fedjob_operator.stages.lanes import StagesHealth

IDLE = StagesHealth(ok=True, oldest="", seconds=0.0)
GOOD = Health(ok=True, waiting=2, oldest_waiting=0.5, oldest_active=1.0)


def ask(path: str, health: Health | None, stages: StagesHealth = IDLE) -> tuple[int, str, int]:
    """Status and text of an answer, and how often metrics were refreshed."""
    refreshed: list[None] = []

    async def main() -> tuple[int, str]:
        server = HealthServer(0, lambda: health, lambda: refreshed.append(None), lambda: stages)
        port = await server.start()
        # With port 0 each address family gets a port of its own; `start` returns the first.
        host = "[::1]" if ":" in server._runner.addresses[0][0] else "127.0.0.1"
        url = f"http://{host}:{port}{path}"
        try:
            async with aiohttp.ClientSession() as session, session.get(url) as answer:
                return answer.status, await answer.text()
        finally:
            await server.stop()

    code, text = asyncio.run(main())
    return code, text, len(refreshed)


@pytest.mark.parametrize(
    ("health", "code", "text"),
    [
        (None, 200, "waiting for the lease\n"),
        (
            GOOD,
            200,
            "ok: 2 waiting, the oldest for 0.5 s; the oldest at work for 1.0 s\n",
        ),
        (
            Health(ok=False, waiting=9, oldest_waiting=200.0, oldest_active=0.0),
            503,
            "stuck: 9 waiting, the oldest for 200.0 s; the oldest at work for 0.0 s\n",
        ),
    ],
)
def test_health_is_that_of_the_queue(health: Health | None, code: int, text: str) -> None:
    assert ask("/healthz", health) == (code, text, 0)


@pytest.mark.parametrize(
    ("ok", "code", "first", "last"),
    [
        (True, 200, "ok: 2", "for 12.0 s\n"),
        (False, 503, "stuck: 2", "for 12.0 s; a stage is over its deadline and cannot be ended\n"),
    ],
)
def test_health_names_the_oldest_stage(ok: bool, code: int, first: str, last: str) -> None:
    stages = StagesHealth(ok=ok, oldest="team/digits: image", seconds=12.0)
    status, text, _ = ask("/healthz", GOOD, stages)
    assert status == code
    assert text.startswith(first)
    assert text.endswith(f"oldest stage: team/digits: image, {last}")


def test_operator_that_serves_is_ready() -> None:
    assert ask("/readyz", None) == (200, "ok\n", 0)


def test_metrics_are_refreshed_before_they_are_written() -> None:
    code, text, refreshed = ask("/metrics", None)
    assert (code, refreshed) == (200, 1)
    assert "fedjob_operator_queue_waiting" in text
