"""Which commands a run starts, and the packages that they need."""

import importlib.util
import sys

import pytest

from fedjob.engines.local.processes.commands import (
    Commands,
    NotInstalledError,
    require_local_packages,
)


@pytest.mark.parametrize("name", ["server", "agent", "worker", "kits", "fork_server"])
def test_commands_are_modules_that_exist_run_by_this_interpreter(name):
    python, option, module = getattr(Commands(), name)
    assert (python, option) == (sys.executable, "-m")
    assert importlib.util.find_spec(module) is not None


def test_missing_packages_are_named_with_the_command_that_installs_them(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(NotInstalledError, match=r"torch, nvflare.*pip install 'fedjob\[local\]'"):
        require_local_packages()
