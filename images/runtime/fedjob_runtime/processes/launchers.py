"""NVFlare's launchers of job processes, which have a forge fork them."""

from __future__ import annotations

import logging
from typing import Any

from nvflare.apis.fl_context import FLContext
from nvflare.app_common.job_launcher import process_launcher
from nvflare.app_common.job_launcher.client_process_launcher import ClientProcessJobLauncher
from nvflare.app_common.job_launcher.server_process_launcher import ServerProcessJobLauncher
from nvflare.utils.process_utils import spawn_process

from fedjob_runtime.processes.fork_client import NotForgedError, forge_process

_log = logging.getLogger(__name__)

SERVER_MODULE = "nvflare.private.fed.app.server.runner_process"
OWN_SERVER_MODULE = "fedjob_runtime.server.job_process.main"


def spawn(argv: list[str], env: dict[str, str]) -> Any:
    """In place of NVFlare's own `spawn_process`, which it still is where there is no forge."""
    try:
        process = forge_process(argv, env)
    except NotForgedError as error:
        _log.warning("the job process is started anew: %s", error)
        return spawn_process(argv, env)
    _log.info("the job process is %s, forked", process.pid)
    return process


# NVFlare's launcher has no other place where to say how a process is started.
process_launcher.spawn_process = spawn


class ClientLauncher(ClientProcessJobLauncher):
    """A worker's."""


class ServerLauncher(ServerProcessJobLauncher):
    """The server's: starts our entry of the job process, which calls NVFlare's."""

    def get_command(self, job_meta: dict[str, Any], fl_ctx: FLContext) -> str:
        """NVFlare's command line with another module."""
        command = str(super().get_command(job_meta, fl_ctx))
        if SERVER_MODULE not in command:
            # Without it errors of the job's components would be retried for minutes.
            raise RuntimeError(f"NVFlare starts a server's job by {command}; see launchers.py")
        return command.replace(SERVER_MODULE, OWN_SERVER_MODULE)
