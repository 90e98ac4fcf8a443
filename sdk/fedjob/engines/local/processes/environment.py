"""The environment of the processes of a local run; pure.

A pod starts with an environment that the operator wrote. On a laptop the processes inherit the
user's shell, whose settings are meant for other programs: what would change how Python, NVFlare,
gRPC or boto3 work is removed here, everything that training code may want is kept.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from fedjob.engines.local.processes.orphans import RUN_FOLDER, RUN_ID

_LOOPBACK = "127.0.0.1,localhost,::1"
_REMOVED_PREFIXES = ("AWS_", "BOTO", "GRPC_", "NVFL_", "NVFLARE_")
"""Settings of the libraries that a run is built from. Keys of the user's store are among them."""
_REMOVED = frozenset(
    {
        "FL_LOG_LEVEL",  # NVFlare's; a log without INFO lacks what people are asked to look for
        "PYTHONINSPECT",  # a process that should end with an exit code would open a prompt instead
        "PYTHONIOENCODING",  # would override PYTHONUTF8 for the logs
        "PYTHONOPTIMIZE",  # libraries rely on docstrings and asserts; pods run without it
        "PYTHONSTARTUP",
        "PYTHONWARNINGS",  # `error` would end the run at the first warning of a library
        "grpc_proxy",  # gRPC prefers it to http_proxy, and the federation stays on this machine
    }
)


def process_environment(
    ours: Mapping[str, str],
    *,
    run_id: str,
    folder: Path,
    workers: int,
    cpus: int,
    python_path: Sequence[Path] = (),
) -> dict[str, str]:
    """The environment of every process of the run.

    Args:
        ours: The environment of this process, usually os.environ.
        run_id: Marks the process as this run's.
        folder: OUT/.fedjob: marks it as a run's in this folder.
        workers: Workers that share this machine.
        cpus: Cores of this machine.
        python_path: Folders that the processes import from, before all others.
    """
    env = {
        name: value
        for name, value in ours.items()
        if name not in _REMOVED and not name.startswith(_REMOVED_PREFIXES)
    }
    # Neither the server nor a worker may find the user's own keys in ~/.aws.
    env["AWS_CONFIG_FILE"] = env["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    env["AWS_EC2_METADATA_DISABLED"] = "true"
    # Proxies are for the outside. The lower-case name wins in most libraries, so both get all.
    env["NO_PROXY"] = env["no_proxy"] = _with_loopback(
        env.get("no_proxy") or env.get("NO_PROXY", "")
    )
    if "no_grpc_proxy" in env:  # gRPC then ignores no_proxy
        env["no_grpc_proxy"] = _with_loopback(env["no_grpc_proxy"])
    # The processes run in folders of their own, where a relative path would name another folder.
    parts = [*map(str, python_path), *env.get("PYTHONPATH", "").split(os.pathsep)]
    if any(parts):
        env["PYTHONPATH"] = os.pathsep.join(str(Path(part).absolute()) for part in parts if part)
    env["PYTHONUNBUFFERED"] = "1"
    # Configuration files are UTF-8 and may hold paths with any letter, whatever the locale is.
    env["PYTHONUTF8"] = "1"
    # By default each worker would use all cores, and they would wait for each other.
    env.setdefault("OMP_NUM_THREADS", str(max(1, cpus // max(workers, 1))))
    env[RUN_ID] = run_id
    env[RUN_FOLDER] = str(folder)
    return env


def _with_loopback(hosts: str) -> str:
    """A list of hosts to reach without a proxy; `*`, which is all hosts, must stand alone."""
    return hosts if hosts.strip() == "*" else ",".join(filter(None, [hosts, _LOOPBACK]))
