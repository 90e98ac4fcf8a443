"""Who may act: the Lease, against a small API server on loopback."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from kubernetes.aio.client import ApiClient, Configuration

from fedjob.formats import rfc3339
from fedjob_operator.kube import leader_election as module
from fedjob_operator.kube.client import ApiError, Cluster
from fedjob_operator.kube.leader_election import Lease, is_free
from support.operator.api_server import POD, Server, run
from support.operator.samples import (
    NOW,
)


@pytest.mark.parametrize(
    ("spec", "unchanged", "free"),
    [
        (None, 0, True),
        ({"holderIdentity": ""}, 0, True),
        ({"holderIdentity": "me"}, 0, True),
        ({"holderIdentity": "you"}, 5, False),
        ({"holderIdentity": "you"}, 31, True),
        # Another machine's clock is ignored.
        ({"holderIdentity": "you", "renewTime": rfc3339(NOW - 3600)}, 5, False),
        ({"holderIdentity": "you", "leaseDurationSeconds": 60}, 31, False),
    ],
)
def test_lease_is_taken_once_it_has_expired(
    spec: dict[str, Any] | None, unchanged: float, free: bool
) -> None:
    assert is_free(None if spec is None else {"spec": spec}, "me", unchanged) is free


@pytest.fixture
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fraction of the true times."""
    for name, seconds in (
        ("LASTS_SECONDS", 2),
        ("RENEW_SECONDS", 0.2),
        ("RETRY_SECONDS", 0.1),
        ("ACTS_SECONDS", 1.2),
    ):
        monkeypatch.setattr(module, name, seconds)


@pytest.mark.usefixtures("short_times")
def test_holder_that_is_cut_off_sends_nothing_before_another_acts() -> None:
    async def body(server: Server, client: ApiClient) -> None:
        one = Lease(Cluster(client), "system", "lease", "one")
        two = Lease(Cluster(client), "system", "lease", "two")
        guarded = Cluster(client, one.left)
        with pytest.raises(ApiError, match="NotLeading"):
            await guarded.create(POD)  # it does not hold the lease yet
        await one.acquire()
        await guarded.create(POD)
        server.delays = 3600.0  # the API server no longer answers `one`
        kept = asyncio.create_task(one.keep())
        await kept
        server.delays = 0.0
        assert one.left() <= 0
        with pytest.raises(ApiError, match="NotLeading"):
            await guarded.create(POD)
        assert server.lease is not None
        assert server.lease["spec"]["holderIdentity"] == "one"  # nobody else acts yet
        assert server.writes == ["POST"]
        await two.acquire()
        assert two.left() > 0
        assert server.lease["spec"]["holderIdentity"] == "two"

    run(body)


@pytest.mark.usefixtures("short_times")
def test_clock_of_another_machine_is_ignored() -> None:
    """The holder's clock is behind; the lease changes with each renewal, so it is not free."""

    async def body(server: Server, client: ApiClient) -> None:
        one = Lease(Cluster(client), "system", "lease", "one")
        two = Lease(Cluster(client), "system", "lease", "two")
        await one.acquire()
        assert server.lease is not None
        server.lease["spec"]["renewTime"] = "2000-01-01T00:00:00.000000Z"
        waits = asyncio.create_task(two.acquire())
        kept = asyncio.create_task(one.keep())
        await asyncio.sleep(0.5)
        assert not waits.done()
        kept.cancel()
        await waits
        assert one.left() <= 0

    run(body)


@pytest.mark.usefixtures("short_times")
def test_released_lease_is_free_at_once() -> None:
    async def body(server: Server, client: ApiClient) -> None:
        one = Lease(Cluster(client), "system", "lease", "one")
        await one.acquire()
        await one.release()
        assert server.lease is not None
        assert server.lease["spec"]["holderIdentity"] == ""
        assert await Lease(Cluster(client), "system", "lease", "two")._try()

    run(body)


def test_lease_of_another_operator_is_awaited(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    caplog.set_level("INFO", logger="fedjob.lease")

    async def body(server: Server, client: ApiClient) -> None:
        one = Lease(Cluster(client), "system", "lease", "one")
        two = Lease(Cluster(client), "system", "lease", "two")
        await one.acquire()
        waits = asyncio.create_task(two.acquire())
        await asyncio.sleep(0.1)
        assert not waits.done()
        await one.release()
        await waits
        await one.release()  # another's by now: left alone
        assert server.lease is not None
        assert server.lease["spec"]["holderIdentity"] == "two"
        assert server.lease["spec"]["leaseTransitions"] == 2

    run(body)
    assert caplog.messages.count("another operator holds the lease; waiting") == 1


def test_refused_calls_are_logged_and_are_not_the_lease(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        async with ApiClient(Configuration(host="http://127.0.0.1:1")) as client:
            lease = Lease(Cluster(client), "system", "lease", "one")
            assert not await lease._try()
            await lease.release()
            assert lease.left() < 0

    asyncio.run(main())
    assert caplog.text.count("Unreachable") == 2
