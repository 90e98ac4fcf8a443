"""Times as Kubernetes writes them, by fedjob's one formatter."""

from __future__ import annotations

from fedjob.formats import epoch, rfc3339

__all__ = ["epoch", "rfc3339"]
