"""NVFlare's POC deployment as a user sets it up by hand: `nvflare poc prepare`, an exported job.

Two variants: its defaults, and tuned with what NVFlare's own settings allow.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from cases import CLIENTS, NET, NVFLARE_TRAINING, Case

from fedjob.engines.local.store.ports import Ports

MARK = "FEDJOB_BENCH_NVFLARE"
ADMIN = "admin@nvidia.com"
CLIENT_NAMES = [f"site-{number}" for number in range(1, CLIENTS + 1)]


class Poc:
    """A prepared POC workspace with its job; nothing runs yet.

    Args:
        folder: Where everything lies.
        case: What is trained.
        tuned: Tensors instead of arrays on the wire, the polling and scheduling intervals that
            fedjob sets too, and sites started without the five seconds that `sub_start.sh` sleeps.
    """

    def __init__(self, folder: Path, case: Case, tuned: bool) -> None:
        self.folder, self.case, self.tuned = folder, case, tuned
        folder.mkdir(parents=True)
        self._ports = Ports()
        self.job = folder / "job/bench"
        self._prepare()
        self._export()
        self.sites = next(folder.glob("poc/*/prod_00"))
        if tuned:
            self._tune()

    def close(self) -> None:
        """Gives the port back."""
        self._ports.release()

    @property
    def environment(self) -> dict[str, str]:
        """For every process; like the federation's, and with the mark by which it is found."""
        (self.folder / "tmp").mkdir(exist_ok=True)
        return {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
            "HOME": str(self.folder),  # it writes ~/.nvflare
            "TMPDIR": str(self.folder / "tmp"),
            "NVFLARE_POC_WORKSPACE": str(self.folder / "poc"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",
            MARK: str(self.folder),
        }

    def command(self, *arguments: str, seconds: float = 180) -> None:
        """Runs Python with these arguments to its end.

        Raises:
            RuntimeError: It failed, or took longer than `seconds`; with what it printed.
        """
        log = self.folder / "commands.log"
        try:
            with log.open("ab") as output:
                subprocess.run(
                    [sys.executable, *arguments],
                    cwd=self.folder,
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    timeout=seconds,
                    check=True,
                )
        except subprocess.SubprocessError as error:
            raise RuntimeError(f"{error}; it printed:\n{log.read_text()[-4000:]}") from error

    def _prepare(self) -> None:
        # POC's own project but for the port: its 8002 may be taken on this machine.
        project = self.folder / "project.yml"
        project.write_text(json.dumps(_project(self._ports.take())))  # JSON is YAML
        self.command("-m", "nvflare.cli", "poc", "prepare", "-i", str(project), "--force")

    def _export(self) -> None:
        (self.folder / "net.py").write_text(NET)
        (self.folder / "client.py").write_text(NVFLARE_TRAINING)
        script = Path(__file__).with_name("nvflare_export.py")
        size, rounds = str(self.case.size), str(self.case.rounds)
        exchange = "pytorch" if self.tuned else "numpy"
        self.command(str(script), str(self.folder), str(self.case.tensors), size, rounds, exchange)

    def _tune(self) -> None:
        path = self.job / "app/config/config_fed_server.json"
        config = json.loads(path.read_text())
        config["server"] = {"task_request_interval": 0.2}
        config["workflows"][0]["args"]["task_check_period"] = 0.05
        path.write_text(json.dumps(config))
        path = self.sites / "server/local/resources.json"
        resources = json.loads(path.read_text())
        scheduler = next(c for c in resources["components"] if c["id"] == "job_scheduler")
        scheduler["args"] |= {"min_schedule_interval": 1.0, "max_schedule_interval": 2.0}
        path.write_text(json.dumps(resources))


def _project(port: int) -> dict[str, Any]:
    lighter = "nvflare.lighter.impl."
    templates = ["master_template.yml", "aws_template.yml", "azure_template.yml"]
    return {
        "api_version": 3,
        "name": "example_project",
        "description": "NVIDIA FLARE sample project yaml file",
        "participants": [
            {
                "name": "server",
                "type": "server",
                "org": "nvidia",
                "fed_learn_port": port,
                "default_host": "localhost",
            },
            {"name": ADMIN, "type": "admin", "org": "nvidia", "role": "project_admin"},
            *({"name": name, "type": "client", "org": "nvidia"} for name in CLIENT_NAMES),
        ],
        "builders": [
            {
                "path": f"{lighter}workspace.WorkspaceBuilder",
                "args": {"template_file": templates},
            },
            {
                "path": f"{lighter}static_file.StaticFileBuilder",
                "args": {"config_folder": "config"},
            },
            {"path": f"{lighter}cert.CertBuilder"},
            {"path": f"{lighter}signature.SignatureBuilder"},
        ],
    }
