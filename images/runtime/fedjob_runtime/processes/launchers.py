"""NVFlare's launchers of job processes, which have the fork server fork them."""

from __future__ import annotations

import logging
from typing import Any

from nvflare.apis.fl_context import FLContext
from nvflare.app_common.job_launcher.client_process_launcher import ClientProcessJobLauncher
from nvflare.app_common.job_launcher.server_process_launcher import ServerProcessJobLauncher
from nvflare.utils.process_utils import spawn_process

from fedjob_runtime.nvflare_site.patches import server_command, spawn_job_processes_with
from fedjob_runtime.processes.fork_client import NotForkedError, fork_process

_log = logging.getLogger(__name__)

SERVER_MODULE = "fedjob_runtime.server.job_process.main"


def spawn(argv: list[str], env: dict[str, str]) -> Any:
    """Forks a job process; without a fork server NVFlare's own `spawn_process` starts it."""
    try:
        process = fork_process(argv, env)
    except NotForkedError as error:
        _log.warning("the job process is started as a new Python: %s", error)
        return spawn_process(argv, env)
    _log.info("the job process is %s, forked", process.pid)
    return process


spawn_job_processes_with(spawn)


class ClientLauncher(ClientProcessJobLauncher):
    """Launches a worker's job processes."""


class ServerLauncher(ServerProcessJobLauncher):
    """Launches the server's job processes, by our entry, which calls NVFlare's."""

    def get_command(self, job_meta: dict[str, Any], fl_ctx: FLContext) -> str:
        """NVFlare's command line with our module."""
        return server_command(str(super().get_command(job_meta, fl_ctx)), SERVER_MODULE)
