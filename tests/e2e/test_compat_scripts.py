"""The scripts of the documented service on the cluster (rows 1 to 6, 28)."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.compat_scripts import EXPECTED, check, copy_scripts, start

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("script", [name for name in EXPECTED if name != "warm_start.py"])
def test_script_runs_on_the_cluster(script: str, tmp_path: Path) -> None:
    """By the kubeconfig alone; a checkpoint of this machine is refused until it can travel."""
    copy_scripts(tmp_path)
    check(script, start(script, tmp_path, FEDJOB_ENGINE="kubernetes"))
