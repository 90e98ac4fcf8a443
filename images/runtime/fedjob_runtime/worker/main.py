"""`fedjob-worker --config FILE`: prepares the shard, then runs NVFlare's client to the end.

Exit codes: 0 the server ended the run; 64 the shard or the kit is wrong and a restart does not
help; 137 out of memory; 143 stopped by SIGTERM; any other: something broke, start it again.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import FrameType

from fedjob.errors import FedjobError, InvalidInputError, UnavailableError
from fedjob.protocol.config import WorkerConfig
from fedjob.protocol.exit_codes import EXIT_TERMINAL
from fedjob.reasons import Reason
from fedjob_runtime.atomic_json import write_json
from fedjob_runtime.nvflare_site.kit_check import check_kit
from fedjob_runtime.nvflare_site.site_folder import allowed_classes, prepare_site
from fedjob_runtime.nvflare_site.user_classes import user_classes
from fedjob_runtime.processes.children import kill_tree, start_child
from fedjob_runtime.processes.fork_client import environment_with_fork_server
from fedjob_runtime.processes.oom_watch import MemoryWatch
from fedjob_runtime.protocol import (
    ENV_DEVICE,
    ENV_HOME,
    ENV_JOB_FOLDER,
    ENV_JOB_ID,
    ENV_KEEP_FILES,
    ENV_SHARD,
    ENV_WORKER,
)
from fedjob_runtime.site_log.kept import ENV_LOG_FORM, kept_log
from fedjob_runtime.site_log.post_form import post_form
from fedjob_runtime.termination_message import leave_termination_message
from fedjob_runtime.worker.shard_download import prepare_shard

EXIT_LOST = 75
EXIT_MEMORY = 137
"""As a container ends whose main process the kernel killed."""
HEARTBEAT_SECONDS = 2
DRAIN_SECONDS = 3.0
LOG_SECONDS = 5.0
"""Seconds that the store may take for the log: a stopping pod does not wait longer."""


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="fedjob-worker",
        description="Trains on one shard for a federated job.",
        epilog="Example: fedjob-worker --config worker-0.json",
    )
    parser.add_argument("--config", type=Path, required=True, help="a WorkerConfig as JSON")
    config = WorkerConfig.model_validate_json(parser.parse_args(argv).config.read_text())
    home = Path(config.home)
    home.mkdir(parents=True, exist_ok=True)
    form = os.environ.get(ENV_LOG_FORM)
    send = partial(post_form, Path(form), timeout=LOG_SECONDS) if form else None
    with kept_log(home, send, say):
        return _run(config, home)


def _run(config: WorkerConfig, home: Path) -> int:
    try:
        write_json(home / "worker.json", {"state": "Preparing", "message": ""})
        # It imports torch while the shard is fetched.
        env = environment_with_fork_server(os.environ)
        check_kit(Path(config.kit), config.worker)
        prepare_shard(config, say)
    except (InvalidInputError, UnavailableError, FedjobError) as error:
        say(str(error))
        terminal = not isinstance(error, UnavailableError)
        write_json(home / "worker.json", {"state": "Failed", "message": str(error)})
        leave_termination_message("Failed", error.reason, str(error))
        return EXIT_TERMINAL if terminal else EXIT_LOST
    return _run_client(config, home, env)


def say(line: str) -> None:
    """A line of the worker's log."""
    sys.stdout.write(f"fedjob-worker: {line}\n")
    sys.stdout.flush()


def _run_client(config: WorkerConfig, home: Path, env: Mapping[str, str]) -> int:
    site = home / "site"
    prepare_site(Path(config.kit), site, _resources(config))
    stopped = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopped.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    memory = MemoryWatch()
    client = start_child(_command(config, site), _environment(config, home, env))
    write_json(home / "worker.json", {"state": "Running", "message": ""})
    while client.poll() is None and not stopped.wait(0.2):
        if memory.exceeded():
            kill_tree(client)
            return _out_of_memory(config, home)
    if stopped.is_set():
        say("stopping")
        client.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            client.wait(DRAIN_SECONDS)
        kill_tree(client)
        return 128 + signal.SIGTERM
    # NVFlare leaves this file when the server has ordered the shutdown.
    if (site / "shutdown.fl").exists():
        write_json(home / "worker.json", {"state": "Done", "message": ""})
        return 0
    say(f"the NVFlare client ended with code {client.returncode}")
    return client.returncode or EXIT_LOST


def _out_of_memory(config: WorkerConfig, home: Path) -> int:
    """Reports it at once: NVFlare would only report that its training process is gone."""
    message = (
        f"{config.worker}: one of its processes was OOM-killed; reduce batch_size, or give the "
        "workers more memory"
    )
    say(message)
    write_json(home / "worker.json", {"state": "Failed", "message": message})
    leave_termination_message("Failed", Reason.OUT_OF_MEMORY, message)
    return EXIT_MEMORY


def _command(config: WorkerConfig, site: Path) -> list[str]:
    return [
        sys.executable,
        "-m",
        "fedjob_runtime.processes.nvflare_main",
        "nvflare.private.fed.app.client.client_train",
        "-m",
        str(site),
        "-s",
        "fed_client.json",
        "--set",
        "secure_train=true",
        f"uid={config.worker}",
        "org=fedjob",
        "config_folder=config",
        f"heart_beat_interval={HEARTBEAT_SECONDS}",
    ]


def _environment(config: WorkerConfig, home: Path, env: Mapping[str, str]) -> dict[str, str]:
    custom = f"{config.job_folder}/app/custom"
    return {
        **env,
        "PYTHONPATH": os.pathsep.join(filter(None, [custom, env.get("PYTHONPATH", "")])),
        ENV_HOME: str(home),
        ENV_JOB_FOLDER: config.job_folder,
        ENV_JOB_ID: config.name,
        ENV_WORKER: config.worker,
        ENV_DEVICE: config.device,
        ENV_SHARD: config.shard,
        ENV_KEEP_FILES: config.keep_files.model_dump_json() if config.keep_files else "",
    }


def _resources(config: WorkerConfig) -> dict[str, object]:
    own = "nvflare.app_common."
    return {
        "format_version": 2,
        "class_allow_list": allowed_classes(user_classes(Path(config.job_folder))),
        "client": {"retry_timeout": 30, "compression": "Gzip"},
        "components": [
            {
                "id": "resource_manager",
                "path": own + "resource_managers.gpu_resource_manager.GPUResourceManager",
                # GPUs are given out by Kubernetes; NVFlare must not count them again.
                "args": {"num_of_gpus": 0, "mem_per_gpu_in_GiB": 0, "expiration_period": 300},
            },
            {
                "id": "resource_consumer",
                "path": own + "resource_consumers.gpu_resource_consumer.GPUResourceConsumer",
                "args": {},
            },
            {
                "id": "process_launcher",
                "path": "fedjob_runtime.processes.launchers.ClientLauncher",
                "args": {},
            },
        ],
    }


if __name__ == "__main__":
    sys.exit(main())
