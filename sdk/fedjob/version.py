"""The version of this release, for whoever must not import the SDK's public names."""

from __future__ import annotations

__version__ = "0.2.0"
