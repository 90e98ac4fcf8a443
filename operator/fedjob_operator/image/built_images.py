"""The images that this operator has built with a Docker daemon, by name: its only cache hits.

A tag in a registry proves nothing: whoever may push to the repository may push another image under
it, with the same labels. What builder `append` makes has a digest that is known before it is sent,
and is not recorded.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping

MOST = 4000
"""Images that are recorded: a ConfigMap takes 1 MiB. One that is dropped is built once more."""


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


def _key(image: str) -> str:
    # A ConfigMap's keys have no `/` and no `:`.
    return hashlib.sha256(image.encode()).hexdigest()[:40]
