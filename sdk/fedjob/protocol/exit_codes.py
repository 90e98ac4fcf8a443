"""Exit codes of a worker that whoever restarts it must know: the operator, or the local engine."""

from __future__ import annotations

EXIT_TERMINAL = 64
"""A restart does not help: the shard or the startup kit is invalid (EX_USAGE of sysexits.h)."""
