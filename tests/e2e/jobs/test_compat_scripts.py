"""The scripts of the documented service on the cluster (rows 1 to 6, 28)."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from e2e.cluster_access.operator_deployment import OperatorDeployment
from support.sdk.compat_scripts import EXPECTED, check, copy_scripts, start

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def kubeconfig(deployment: OperatorDeployment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A context whose namespace is that of the tests' operator, as a user has one."""
    config = yaml.safe_load(Path(deployment.env["KUBECONFIG"]).read_text())
    for context in config["contexts"]:
        context["context"]["namespace"] = deployment.jobs
    path = tmp_path_factory.mktemp("kube") / "config"
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.mark.parametrize("script", list(EXPECTED))
def test_script_runs_on_the_cluster(script: str, kubeconfig: Path, tmp_path: Path) -> None:
    """By the kubeconfig alone, whatever base_url the script names."""
    copy_scripts(tmp_path)
    environment = {"FEDJOB_ENGINE": "kubernetes", "KUBECONFIG": str(kubeconfig)}
    check(script, start(script, tmp_path, **environment))
