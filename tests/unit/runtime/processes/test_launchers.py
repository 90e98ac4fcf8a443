"""The command line of a job process survives NVFlare's `shlex.split`, whatever a path holds."""

import shlex
import sys

import pytest
from nvflare.apis.job_launcher_spec import JobProcessArgs
from nvflare.utils.job_launcher_utils import get_client_job_args, get_server_job_args

from fedjob_runtime.nvflare_site.patches import RUNNER_MODULE
from fedjob_runtime.processes.launchers import (
    SERVER_MODULE,
    ClientLauncher,
    ServerLauncher,
    quoted_command,
)

WORKER_MODULE = "nvflare.private.fed.app.client.worker_process"
MODULES = {
    ClientLauncher: (WORKER_MODULE, WORKER_MODULE),
    ServerLauncher: (RUNNER_MODULE, SERVER_MODULE),
}
"""NVFlare's module of each side, and the one that is started."""

PATHS = ["/my out/x", "/it's/x", '/"q"/x', "/$HOME/x", "/a\\b/x", "/ünï/x", "/a\nb/x", "/#1;&/x"]


class Context:
    """What NVFlare hands to a launcher."""

    def __init__(self, options):
        self.options = options

    def get_prop(self, name):
        return self.options


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("launcher", [ClientLauncher, ServerLauncher])
def test_path_stays_one_argument(launcher, path):
    options = {
        JobProcessArgs.EXE_MODULE: ("-m", MODULES[launcher][0]),
        JobProcessArgs.WORKSPACE: ("-m", path),
        JobProcessArgs.APP_ROOT: ("-r", path),
        JobProcessArgs.STARTUP_DIR: ("-w", path),
        JobProcessArgs.OPTIONS: ("--set", " secure_train=true org=fedjob"),
    }
    argv = shlex.split(launcher().get_command({}, Context(options)), posix=True)
    assert argv[:5] == [sys.executable, "-m", MODULES[launcher][1], "-m", path]
    assert argv[-3:] == ["--set", "secure_train=true", "org=fedjob"]
    assert argv.count(path) == 2


def test_interpreter_in_a_folder_with_a_blank_stays_one_argument(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/my venv/bin/python")
    assert shlex.split(quoted_command({}, ())) == ["/my venv/bin/python"]


@pytest.mark.parametrize("names", [get_client_job_args(), get_server_job_args()])
def test_arguments_without_an_option_are_left_out(names):
    assert shlex.split(quoted_command({names[0]: ("-m", "x")}, names)) == [
        sys.executable,
        "-m",
        "x",
    ]
