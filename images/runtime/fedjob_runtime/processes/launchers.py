"""NVFlare's launchers of job processes, which ask the fork server for them."""

from __future__ import annotations

import logging
import shlex
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from nvflare.apis.fl_constant import FLContextKey
from nvflare.apis.job_launcher_spec import JobProcessArgs
from nvflare.app_common.job_launcher import process_launcher
from nvflare.app_common.job_launcher.client_process_launcher import ClientProcessJobLauncher
from nvflare.app_common.job_launcher.server_process_launcher import ServerProcessJobLauncher
from nvflare.utils.job_launcher_utils import get_client_job_args, get_server_job_args
from nvflare.utils.process_utils import spawn_process

from fedjob_runtime.processes.fork_client import NotForgedError, forge_process

_log = logging.getLogger(__name__)


def spawn(argv: list[str], env: dict[str, str]) -> Any:
    """In place of NVFlare's `spawn_process`, which still runs where there is no fork server."""
    try:
        process = forge_process(argv, env)
    except NotForgedError as error:
        _log.warning("the job process is started as a new Python: %s", error)
        return spawn_process(argv, env)
    _log.info("the job process is %s, forked", process.pid)
    return process


# NVFlare's launcher has no other place to choose how a process is started.
process_launcher.spawn_process = spawn


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
    """A worker's."""

    def get_command(self, job_meta: object, fl_ctx: Any) -> str:
        """The command line of the worker's job process."""
        return quoted_command(fl_ctx.get_prop(FLContextKey.JOB_PROCESS_ARGS), get_client_job_args())


class ServerLauncher(ServerProcessJobLauncher):
    """The server's."""

    def get_command(self, job_meta: object, fl_ctx: Any) -> str:
        """The command line of the server's job process."""
        return quoted_command(fl_ctx.get_prop(FLContextKey.JOB_PROCESS_ARGS), get_server_job_args())
