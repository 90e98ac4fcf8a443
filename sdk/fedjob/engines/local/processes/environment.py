"""The environment of the processes of a local run; pure."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from fedjob.engines.local.processes.orphans import RUN_FOLDER, RUN_ID

_LOOPBACK = "127.0.0.1,localhost,::1"


def process_environment(
    ours: Mapping[str, str],
    *,
    run_id: str,
    folder: Path,
    workers: int,
    cpus: int,
    python_path: Sequence[Path] = (),
) -> dict[str, str]:
    """What every process of the run gets: our environment without any key of a store.

    Args:
        ours: Usually os.environ.
        run_id: Marks the process as this run's.
        folder: OUT/.fedjob: marks it as a run's in this folder.
        workers: That share this machine.
        cpus: Of this machine.
        python_path: Folders that the processes import from, before all others.
    """
    env = {name: value for name, value in ours.items() if not name.startswith("AWS_")}
    # Neither the server nor a worker may find the user's own keys in ~/.aws.
    env["AWS_CONFIG_FILE"] = env["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    env["AWS_EC2_METADATA_DISABLED"] = "true"
    # HTTP_PROXY must not take what stays on this machine.
    for name in ("NO_PROXY", "no_proxy"):
        env[name] = ",".join(filter(None, [env.get(name, ""), _LOOPBACK]))
    # The processes run in folders of their own: a relative path would mean another one there.
    parts = [*map(str, python_path), *env.get("PYTHONPATH", "").split(os.pathsep)]
    if any(parts):
        env["PYTHONPATH"] = os.pathsep.join(str(Path(part).absolute()) for part in parts if part)
    env["PYTHONUNBUFFERED"] = "1"
    # By default each worker would use all cores, and they would wait for each other.
    env.setdefault("OMP_NUM_THREADS", str(max(1, cpus // max(workers, 1))))
    env[RUN_ID] = run_id
    env[RUN_FOLDER] = str(folder)
    return env
