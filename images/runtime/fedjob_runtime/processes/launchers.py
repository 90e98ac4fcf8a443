"""NVFlare's launchers of job processes, which have the fork server fork them."""

from __future__ import annotations

import logging
import shlex
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.job_launcher_spec import JobProcessArgs
from nvflare.app_common.job_launcher.client_process_launcher import ClientProcessJobLauncher
from nvflare.app_common.job_launcher.server_process_launcher import ServerProcessJobLauncher
from nvflare.utils.job_launcher_utils import get_client_job_args, get_server_job_args
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


def quoted_command(options: Mapping[str, tuple[str, Any]], names: Iterable[str]) -> str:
    """The command line of a job process, quoted for the `shlex.split` of NVFlare's launcher.

    NVFlare 2.9.0 joins the values with blanks and splits the line again, so a blank or a quote in
    the path of a workspace would change its meaning.

    Args:
        options: (flag, value) by argument name: NVFlare's JOB_PROCESS_ARGS.
        names: The arguments of this side, in order; those without an option are left out.
    """
    argv = [sys.executable]
    for name in names:
        if not options.get(name):
            continue
        flag, value = options[name]
        # `--set` takes several `name=value`, which NVFlare has joined with blanks.
        values = str(value).split() if name == JobProcessArgs.OPTIONS else [str(value)]
        argv += [flag, *values]
    return shlex.join(argv)


class ClientLauncher(ClientProcessJobLauncher):
    """Launches a worker's job processes."""

    def get_command(self, job_meta: object, fl_ctx: FLContext) -> str:
        """The command line of the worker's job process."""
        return quoted_command(fl_ctx.get_prop(FLContextKey.JOB_PROCESS_ARGS), get_client_job_args())


class ServerLauncher(ServerProcessJobLauncher):
    """Launches the server's job processes, by our entry, which calls NVFlare's."""

    def get_command(self, job_meta: object, fl_ctx: FLContext) -> str:
        """The command line of the server's job process."""
        options = fl_ctx.get_prop(FLContextKey.JOB_PROCESS_ARGS)
        return server_command(quoted_command(options, get_server_job_args()), SERVER_MODULE)
