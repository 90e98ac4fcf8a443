"""The images that this operator has built with a Docker daemon, by name: its only cache hits.

A tag in a registry proves nothing: whoever may push to the repository may push another image under
it, with the same labels. What builder `append` makes has a digest that is known before it is sent,
and is not recorded.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
from collections.abc import Mapping

from fedjob_operator.kube.client import ApiError, Cluster

NAME = "fedjob-images"
"""The ConfigMap of the list, which the chart creates in the operator's own namespace. Not in the
store and not beside a job: the keys of the store are in servers' pods, and people of a job's
namespace may write its ConfigMaps."""
MOST = 4000
"""Images that are recorded: a ConfigMap takes 1 MiB. One that is dropped is built once more."""

_log = logging.getLogger("fedjob.images")


class BuiltImages:
    """Digests by image; safe for use from several threads."""

    def __init__(self, recorded: Mapping[str, str] | None = None) -> None:
        """Starts with what `recorded` gave in an earlier process."""
        self._digests = dict(recorded or {})
        self._lock = threading.Lock()

    def digest(self, image: str) -> str | None:
        """The digest under which `registry/repository:tag` was pushed; None: it was not built."""
        with self._lock:
            return self._digests.get(_key(image))

    def add(self, image: str, digest: str) -> None:
        """Records what was pushed."""
        with self._lock:
            self._digests[_key(image)] = digest
            while len(self._digests) > MOST:
                del self._digests[next(iter(self._digests))]

    @property
    def recorded(self) -> dict[str, str]:
        """Everything, in a form that a ConfigMap takes."""
        with self._lock:
            return dict(self._digests)


class ImageRecord:
    """The built images, read once and written after each build.

    Args:
        cluster: The API server.
        namespace: The operator's own.
    """

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster, self._namespace = cluster, namespace
        self._built: BuiltImages | None = None
        self._lock = asyncio.Lock()

    async def load(self) -> BuiltImages:
        """The built images.

        Raises:
            ApiError: The API server does not answer.
        """
        async with self._lock:
            if self._built is None:
                body = await self._cluster.get("v1", "ConfigMap", self._namespace, NAME)
                self._built = BuiltImages((body or {}).get("data") or {})
            return self._built

    async def save(self) -> None:
        """Writes them; a list that cannot be written costs later processes a build."""
        async with self._lock:
            if self._built is None:
                return
            meta = {"name": NAME, "namespace": self._namespace}
            data = self._built.recorded
            try:
                await self._cluster.apply(
                    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}
                )
            except ApiError as error:
                _log.warning(f"{error}; images are built once more after a restart")


def _key(image: str) -> str:
    # A ConfigMap's keys have no `/` and no `:`.
    return hashlib.sha256(image.encode()).hexdigest()[:40]
