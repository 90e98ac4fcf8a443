"""Makes the startup kits of a local run: a new certificate authority per start."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from fedjob.engines.local.processes.processes import Child, stop, tail
from fedjob.preparation.startup_kits import KitsRequest, kits_failure


def make_kits(
    request: KitsRequest, out: Path, *, command: Sequence[str], env: Mapping[str, str], log: Path
) -> None:
    """Makes the kits, replacing the content of `out`.

    Args:
        request: The sites.
        out: Gets a folder per site.
        command: Starts the provisioner.
        env: The command's environment.
        log: Gets the command's output.

    Raises:
        KitsError: The command failed; with the end of its log.
    """
    shutil.rmtree(out, ignore_errors=True)
    kits = Child("kits", request.argv(out, command), env, log)
    kits.start()
    try:
        while kits.running:
            time.sleep(0.05)
    finally:
        stop([kits], grace=0)
    if kits.poll() != 0:
        raise kits_failure(kits.poll(), tail(log), log)
