"""Who has a TCP connection to NVFlare's port: shows workers that it does not answer."""

from __future__ import annotations

from pathlib import Path

ESTABLISHED = "01"
TABLES = ("tcp", "tcp6")


def connected(port: int, tables: Path = Path("/proc/self/net")) -> int:
    """Established connections to a port of this network namespace.

    Args:
        port: The local port.
        tables: Folder of the kernel's tables.
    """
    count = 0
    for name in TABLES:
        try:
            rows = (tables / name).read_text().splitlines()[1:]
        except OSError:  # no IPv6
            continue
        for row in rows:
            _, local, _, state, *_ = row.split()
            count += state == ESTABLISHED and int(local.rpartition(":")[2], 16) == port
    return count
