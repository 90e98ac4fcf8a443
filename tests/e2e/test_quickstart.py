"""README's quick start on a cluster, run verbatim."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from e2e.cluster_access.kube import Kube
from support.repository import ROOT

pytestmark = pytest.mark.e2e

SECTION = "## Quick start: a cluster"
PREPARED = ("make cluster images", 'eval "$(tests/cluster/env)"')
"""Commands that `make e2e` has run before the tests start."""


def commands() -> list[str]:
    """The section's indented lines that are commands, without those that show output."""
    text = (ROOT / "README.md").read_text()
    section = text.split(SECTION, 1)[1].split("\n## ", 1)[0]
    lines = [line[4:] for line in section.splitlines() if line.startswith("    ")]
    found = [line for line in lines if not re.match(r"(NAME|digits) ", line)]
    assert len(found) >= 6, found
    for line in PREPARED:
        assert line in found
        found.remove(line)
    return found


def let_helm_have_the_crd(kube: Kube) -> None:
    """Marks an existing CRD as Helm's: otherwise `helm install` would refuse it."""
    name = "federatedjobs.fedjob.dev"
    if not kube("get", "crd", name, "--ignore-not-found", "-o", "name"):
        return
    release = {"release-name": "fedjob", "release-namespace": "fedjob-system"}
    notes = [f"meta.helm.sh/{key}={value}" for key, value in release.items()]
    kube("annotate", "--overwrite", "crd", name, *notes)
    kube("label", "--overwrite", "crd", name, "app.kubernetes.io/managed-by=Helm")


def test_readme_leads_to_a_complete_job_and_its_model(kube: Kube, tmp_path: Path) -> None:
    program = ROOT / "examples/digits/make_shards.py"
    subprocess.run([sys.executable, program], check=True, cwd=ROOT)
    # The only difference is the Python environment that fedjob is installed in.
    fedjob = str(Path(sys.executable).parent / "fedjob")
    script = "\n".join(commands()).replace(".venv/bin/fedjob", fedjob)
    script = re.sub(r"(?<= )out/", f"{tmp_path}/", script)
    with kube.crd_lock():
        let_helm_have_the_crd(kube)
        try:
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", f"trap 'kill $(jobs -p)' EXIT\n{script}"],
                cwd=ROOT,
                env={**os.environ, "KUBECONFIG": str(kube.kubeconfig)},
                capture_output=True,
                text=True,
                timeout=1200,
                check=False,
            )
            output = f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
            assert done.returncode == 0, output
            assert re.search(r"digits +Complete +5/5 +3/3 +val_accuracy 0\.9\d+", done.stdout), (
                output
            )
            status = json.loads(kube("get", "fj", "digits", "-o", "json"))["status"]
            model = (tmp_path / "digits/model.safetensors").read_bytes()
            assert hashlib.sha256(model).hexdigest() == status["result"]["sha256"]
            # The example promises at least 0.90, as with `fedjob run`.
            assert status["metrics"]["val_accuracy"] >= 0.90
        finally:
            helm = ["helm", "uninstall", "fedjob", "-n", "fedjob-system", "--ignore-not-found"]
            kube("delete", "fj", "digits", "--timeout=120s", "--ignore-not-found")
            env = {**os.environ, "KUBECONFIG": str(kube.kubeconfig)}
            subprocess.run(helm, check=True, env=env, capture_output=True)
            kube("delete", "namespace", "fedjob-system", "--ignore-not-found", "--timeout=180s")
