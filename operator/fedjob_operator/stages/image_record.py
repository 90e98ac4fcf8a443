"""Keeps the list of built images in a ConfigMap of the operator's own namespace.

Not in the store and not beside a job: the keys of the store are in servers' pods, and people of a
job's namespace may write its ConfigMaps.
"""

from __future__ import annotations

import asyncio
import logging

from fedjob_operator.image.built_images import BuiltImages
from fedjob_operator.kube.client import ApiError, Cluster

NAME = "fedjob-images"
"""The ConfigMap, which the chart creates."""

_log = logging.getLogger("fedjob.images")


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
