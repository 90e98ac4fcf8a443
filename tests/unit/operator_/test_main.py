"""The operator as a process: its lease, its end, its metrics, and settings that cannot be used."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import kopf
import pytest

from fedjob_operator import main as module
from fedjob_operator.main import EXIT_LOST, Operator, main, tune
from fedjob_operator.metrics import JOBS
from fedjob_operator.settings import read_settings
from support.operator.samples import a_job, resource


class SetLease:
    """A lease that a test grants and takes away.

    Attributes:
        log: What was done with it.
    """

    def __init__(self, *_: object) -> None:
        self.begun, self.granted, self.lost = (asyncio.Event() for _ in range(3))
        self.error: Exception | None = None
        self.log: list[str] = []

    def left(self) -> float:
        """Time enough."""
        return 30.0

    async def acquire(self) -> None:
        """Returns once it is granted."""
        self.begun.set()
        await self.granted.wait()
        if self.error is not None:
            raise self.error
        self.log.append("acquired")

    async def keep(self) -> None:
        """Returns once it is lost."""
        await self.lost.wait()

    async def release(self) -> None:
        """Records that it is given back."""
        self.log.append("released")


def run(
    monkeypatch: pytest.MonkeyPatch,
    drive: Callable[[Operator, SetLease], None],
    on_watch: Callable[[Operator], None] = lambda _: None,
    **settings: str,
) -> tuple[int, SetLease]:
    """Runs an operator that watches nothing.

    Args:
        monkeypatch: Replaces the lease, the cluster and kopf.
        drive: Called once the operator asks for the lease, or acts without one.
        on_watch: Called when it begins to watch.
        settings: Environment variables of the operator.
    """
    monkeypatch.setattr(module, "Lease", SetLease)

    async def watch(self: Operator, flag: asyncio.Event) -> None:
        lease: Any = self._lease
        lease.begun.set()
        on_watch(self)
        await flag.wait()

    monkeypatch.setattr(Operator, "_watch", watch)

    async def begin() -> tuple[int, SetLease]:
        given = {"FEDJOB_HTTP_PORT": "0", **settings}
        client: Any = None
        monkeypatch.setattr(module, "Cluster", lambda *_: client)
        operator = Operator(read_settings(given), {}, client)
        lease: Any = operator._lease
        task = asyncio.create_task(operator.run())
        async with asyncio.timeout(60):
            await lease.begun.wait()
            drive(operator, lease)
            return await task, lease

    return asyncio.run(begin())


def test_operator_that_is_stopped_before_it_leads_ends_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code, lease = run(monkeypatch, lambda operator, _: operator.stop())
    assert (code, lease.log) == (0, [])


def test_operator_that_is_stopped_while_it_leads_releases_the_lease(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def drive(operator: Operator, lease: SetLease) -> None:
        assert operator._health() is None
        lease.granted.set()

    code, lease = run(monkeypatch, drive, on_watch=Operator.stop)
    assert (code, lease.log) == (0, ["acquired", "released"])


def test_operator_that_loses_the_lease_ends_and_does_not_release_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def drive(operator: Operator, lease: SetLease) -> None:
        lease.granted.set()
        lease.lost.set()

    code, lease = run(monkeypatch, drive)
    assert (code, lease.log) == (EXIT_LOST, ["acquired"])


def test_error_while_the_lease_is_acquired_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def drive(operator: Operator, lease: SetLease) -> None:
        lease.error = ZeroDivisionError()
        lease.granted.set()

    with pytest.raises(ZeroDivisionError):
        run(monkeypatch, drive)


def test_operator_without_a_lease_acts_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def drive(operator: Operator, lease: SetLease) -> None:
        health = operator._health()
        assert health is not None
        assert health.ok
        operator.stop()

    code, lease = run(monkeypatch, drive, FEDJOB_LEASE="false")
    assert (code, lease.log) == (0, [])


def test_jobs_are_counted_by_state(monkeypatch: pytest.MonkeyPatch) -> None:
    def drive(operator: Operator, lease: SetLease) -> None:
        for name, status in (
            ("a", {"state": "Training"}),
            ("b", {"state": "Training"}),
            ("c", None),
        ):
            operator._cache.saw_job(resource(a_job(name), status))
        operator._count_jobs()
        operator.stop()

    run(monkeypatch, drive)
    found = {s.labels["state"]: s.value for metric in JOBS.collect() for s in metric.samples}
    assert found == {"Training": 2.0, "Pending": 1.0}


def test_kopf_writes_nothing() -> None:
    options = kopf.OperatorSettings()
    tune(options)
    assert not options.posting.enabled
    assert options.peering.standalone
    assert options.scanning.disabled


def test_settings_that_cannot_be_used_end_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FEDJOB_WORKERS", "none")
    assert main() == 2
    assert "fedjob-operator: FEDJOB_WORKERS: 'none'" in capsys.readouterr().err
