"""Leader election: the operator that holds a Lease acts, renews it, and releases it when it stops.

Clocks of two machines are never compared. A waiting operator measures how long it has observed the
Lease unchanged. The holder measures from before the call that renewed the Lease, and stops acting
earlier than the others take over.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time

from fedjob.formats import rfc3339
from fedjob_operator.kube.client import ApiError, Cluster
from fedjob_operator.naming import Body

VERSION = "coordination.k8s.io/v1"
LASTS_SECONDS = 30
"""Lease duration: after a crash the next operator waits this long."""
RENEW_SECONDS = 4.0
RETRY_SECONDS = 2.0
ACTS_SECONDS = LASTS_SECONDS - 2 * RENEW_SECONDS
"""How long after its last renewal the holder acts: what it has sent arrives before another acts."""
CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""A clock that also counts while the machine sleeps."""

_log = logging.getLogger("fedjob.lease")


def is_free(lease: Body | None, holder: str, unchanged: float) -> bool:
    """Whether `holder` may take the lease: it is free, its own, or expired.

    Args:
        lease: The Lease as it was just read; None where there is none.
        holder: Identity of this operator.
        unchanged: Seconds for which `holder` has observed the Lease unchanged.
    """
    spec = (lease or {}).get("spec") or {}
    owner = spec.get("holderIdentity")
    lasts = float(spec.get("leaseDurationSeconds") or LASTS_SECONDS)
    return not owner or owner == holder or unchanged > lasts


class Lease:
    """The operator's lease.

    Args:
        cluster: The API server.
        namespace: Namespace of the operator and of the Lease.
        name: Name of the Lease.
        holder: Identity of this process, unique among running operators.
    """

    def __init__(self, cluster: Cluster, namespace: str, name: str, holder: str) -> None:
        self._cluster, self._namespace, self._holder = cluster, namespace, holder
        self._name = name
        self._renewed = float("-inf")
        self._seen, self._since = "", 0.0

    def left(self) -> float:
        """Seconds for which this process may still act; negative without the lease."""
        return self._renewed + ACTS_SECONDS - _now()

    async def acquire(self) -> None:
        """Returns once this process holds the lease."""
        waits = False
        while not await self._try():
            if not waits:
                _log.info(
                    "another operator holds the lease; waiting", extra={"holder": self._holder}
                )
                waits = True
            await asyncio.sleep(RETRY_SECONDS)
        _log.info("acting", extra={"holder": self._holder})

    async def keep(self) -> None:
        """Renews the lease; returns once it is lost, after which this process must not act."""
        while (left := self.left()) > 0:
            await asyncio.sleep(min(RENEW_SECONDS, left))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, self.left())):
                    await self._try()
        _log.error("the lease is lost", extra={"holder": self._holder})

    async def release(self) -> None:
        """Releases the lease, so that the next operator need not wait until it expires."""
        try:
            found = await self._cluster.get(VERSION, "Lease", self._namespace, self._name)
            if found is not None and found["spec"].get("holderIdentity") == self._holder:
                await self._cluster.replace(
                    {**found, "spec": {**found["spec"], "holderIdentity": ""}}
                )
        except ApiError as error:
            _log.warning(str(error))

    async def _try(self) -> bool:
        began = _now()
        try:
            found = await self._cluster.get(VERSION, "Lease", self._namespace, self._name)
            if not is_free(found, self._holder, self._unchanged(found)):
                return False
            old = (found or {}).get("spec") or {}
            now = rfc3339(time.time(), "microseconds")
            same = old.get("holderIdentity") == self._holder
            spec = {
                "holderIdentity": self._holder,
                "leaseDurationSeconds": LASTS_SECONDS,
                "renewTime": now,
                "acquireTime": old.get("acquireTime") if same else now,
                "leaseTransitions": int(old.get("leaseTransitions") or 0) + (not same),
            }
            if found is None:
                meta = {"name": self._name, "namespace": self._namespace}
                body = {"apiVersion": VERSION, "kind": "Lease", "metadata": meta, "spec": spec}
                await self._cluster.create(body)
            else:
                await self._cluster.replace({**found, "spec": spec})
        except ApiError as error:
            if error.code != 409:
                _log.warning(str(error))
            return False
        self._renewed = began
        return True

    def _unchanged(self, lease: Body | None) -> float:
        """Seconds for which this process has observed the lease unchanged."""
        version = str(lease["metadata"].get("resourceVersion")) if lease is not None else ""
        if version != self._seen:
            self._seen, self._since = version, _now()
        return _now() - self._since


def _now() -> float:
    return time.clock_gettime(CLOCK)
