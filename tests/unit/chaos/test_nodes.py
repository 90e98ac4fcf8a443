"""How the fault matrix finds the processes that it kills."""

from __future__ import annotations

import importlib
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from chaos.nodes import CLIENT_JOB, SERVER_JOB
from fedjob_runtime.processes.launchers import SERVER_MODULE
from support.repository import python_files

CLIENT_MODULE = "nvflare.private.fed.app.client.worker_process"
"""NVFlare's launcher starts it, and fedjob's forks it."""


@pytest.mark.parametrize(
    ("pattern", "module"), [(SERVER_JOB, SERVER_MODULE), (CLIENT_JOB, CLIENT_MODULE)]
)
def test_pattern_finds_the_command_line_of_its_job_process_only(pattern: str, module: str) -> None:
    """`pgrep -f` looks for it in `PYTHON -m MODULE ...`."""
    assert find_spec(module) is not None
    found = [each for each in (SERVER_MODULE, CLIENT_MODULE) if re.search(pattern, each)]
    assert found == [module]


@pytest.mark.parametrize("path", python_files("tests/chaos"), ids=str)
def test_modules_of_the_matrix_can_be_imported(path: Path) -> None:
    """They run on the cluster only, for hours: a name that has moved would be found late."""
    importlib.import_module(".".join(path.relative_to("tests").with_suffix("").parts))
