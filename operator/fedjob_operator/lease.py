"""One of several operators acts: a Lease, renewed while it does, given back when it stops."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime

from fedjob_operator.api import ApiError, Cluster
from fedjob_operator.labels import MANAGER, Body
from fedjob_operator.times import epoch

VERSION = "coordination.k8s.io/v1"
NAME = MANAGER
LASTS_SECONDS = 30
"""After a crash the next operator waits this long; a busy API server answers within it."""
RENEW_SECONDS = 4.0
RETRY_SECONDS = 2.0

_log = logging.getLogger("fedjob.lease")


def is_free(lease: Body | None, holder: str, now: float) -> bool:
    """Whether `holder` may take the lease: it is nobody's, its own, or has run out."""
    spec = (lease or {}).get("spec") or {}
    owner = spec.get("holderIdentity")
    renewed = epoch(spec.get("renewTime")) or 0.0
    lasts = float(spec.get("leaseDurationSeconds") or LASTS_SECONDS)
    return not owner or owner == holder or now > renewed + lasts


class Lease:
    """The operator's lease.

    Args:
        cluster: Where it is.
        namespace: The operator's own.
        holder: This process.
    """

    def __init__(self, cluster: Cluster, namespace: str, holder: str) -> None:
        self._cluster, self._namespace, self._holder = cluster, namespace, holder
        self._renewed = 0.0

    async def acquire(self) -> None:
        """Returns once this process holds the lease."""
        waits = False
        while not await self._try():
            if not waits:
                _log.info("another operator acts; waiting", extra={"holder": self._holder})
                waits = True
            await asyncio.sleep(RETRY_SECONDS)
        _log.info("acting", extra={"holder": self._holder})

    async def keep(self) -> None:
        """Renews the lease; returns when it is lost, and then this process must not act."""
        while time.monotonic() - self._renewed < LASTS_SECONDS - 2 * RENEW_SECONDS:
            await asyncio.sleep(RENEW_SECONDS)
            await self._try()
        _log.error("the lease is lost", extra={"holder": self._holder})

    async def release(self) -> None:
        """Gives the lease back, so that the next operator need not wait for its end."""
        try:
            found = await self._cluster.get(VERSION, "Lease", self._namespace, NAME)
            if found is not None and found["spec"].get("holderIdentity") == self._holder:
                await self._cluster.replace(
                    {**found, "spec": {**found["spec"], "holderIdentity": ""}}
                )
        except ApiError as error:
            _log.warning(str(error))

    async def _try(self) -> bool:
        began = time.monotonic()
        try:
            found = await self._cluster.get(VERSION, "Lease", self._namespace, NAME)
            if not is_free(found, self._holder, time.time()):
                return False
            old = (found or {}).get("spec") or {}
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            same = old.get("holderIdentity") == self._holder
            spec = {
                "holderIdentity": self._holder,
                "leaseDurationSeconds": LASTS_SECONDS,
                "renewTime": now,
                "acquireTime": old.get("acquireTime") if same else now,
                "leaseTransitions": int(old.get("leaseTransitions") or 0) + (not same),
            }
            if found is None:
                meta = {"name": NAME, "namespace": self._namespace}
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
