"""Startup kits for a local run: one authority a start, made by the runtime's command."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from fedjob.engines.local.processes.processes import Child, stop, tail
from fedjob.errors import FedjobError


class KitsError(FedjobError):
    """The startup kits could not be made."""


def make_kits(
    command: Sequence[str],
    out: Path,
    *,
    project: str,
    port: int,
    workers: Iterable[str],
    env: Mapping[str, str],
    log: Path,
) -> None:
    """Make a kit for the server, the admin session and each worker, in place of what is at `out`.

    Args:
        command: How the kits' command begins.
        out: Gets a folder a site.
        project: The job's name.
        port: TCP port of the federation on this machine.
        workers: Their names.
        env: Of the command.
        log: What the command prints.

    Raises:
        KitsError: The command failed; with the end of its log.
    """
    shutil.rmtree(out, ignore_errors=True)
    argv = [*command, "--out", str(out), "--project", project, "--fl-port", str(port)]
    argv += ["--server-name", "localhost", "--host", "127.0.0.1"]
    for name in workers:
        argv += ["--worker", name]
    kits = Child("kits", argv, env, log)
    kits.start()
    try:
        while kits.running:
            time.sleep(0.05)
    finally:
        stop([kits], grace=0)
    if kits.poll() != 0:
        raise KitsError(
            f"startup kits: the command ended with code {kits.poll()}; see {log}, which ends "
            f"with:\n{tail(log)}"
        )
