"""NVFlare without fedjob under the same faults, on the same cluster: does it hang, end or resume?

    python tests/chaos/nvflare_alone.py [--repeat 1] [--at-once 1] [--only TEXT] [--out out/chaos]

Uses NVFlare's own provisioning, start scripts and a FedAvg recipe as in its documentation, in
StatefulSets of one pod each, which Kubernetes restarts and replaces: a careful deployment without
fedjob. Training takes as long per round as in the fault matrix.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / part) for part in ("tests", "sdk", "operator", "images/runtime")]

from chaos.nodes import (  # noqa: E402 (after the path)
    CLIENT_JOB,
    SERVER_JOB,
    WORKER_NODES,
    PodPlacement,
    docker,
    eviction_of,
    placement_of,
    unpause_all,
)
from e2e.cluster_access.kube import cluster_environment, kubectl  # noqa: E402
from fedjob import __version__  # noqa: E402

ADMIN, SITES, ROUNDS, PAUSE = "admin@nvidia.com", ("site-1", "site-2"), 1000, 3
WATCHED = 180.0
"""Seconds after a fault (or after it is undone) within which the next round must be saved."""
SAVED = "End persist model on server"
NET = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.line = nn.Linear(3, 2)
"""
HUNGRY, LIMIT, MEGABYTES = "/ws/hungry", "2Gi", 2500
TRAIN = f"""
import os
import time

import nvflare.client as flare

flare.init()
while flare.is_running():
    model = flare.receive()
    time.sleep({PAUSE})
    if os.path.exists("{HUNGRY}"):
        os.remove("{HUNGRY}")
        eaten = [bytes([1]) * 2**20 for _ in range({MEGABYTES})]
    params = {{name: value + 1 for name, value in model.params.items()}}
    flare.send(flare.FLModel(params=params, meta={{"NUM_STEPS_CURRENT_ROUND": 1}}))
"""
EXPORT = f"""
from net import Net
from nvflare.app_opt.pt.recipes.fedavg import FedAvgRecipe

recipe = FedAvgRecipe(
    name="alone",
    model=Net(),
    min_clients={len(SITES)},
    num_rounds={ROUNDS},
    train_script="client.py",
)
recipe.export("job")
"""
ASK = """
import json, sys
from nvflare.fuel.flare_api.flare_api import new_secure_session

session = new_secure_session("admin@nvidia.com", "/ws/admin@nvidia.com", timeout=10)
if sys.argv[1] == "submit":
    print("ANSWER", session.submit_job("/ws/job/alone"))
else:
    print("ANSWER", json.dumps([j["status"] for j in session.list_jobs()]))
session.close()
"""
UNPACK = "mkdir -p /ws && tar -xzf /kit/kit.tgz -C /ws && "


class NvflareDeployment:
    """A deployment of NVFlare in its own namespace."""

    def __init__(self, folder: Path) -> None:
        self.env = cluster_environment()
        self.namespace = f"nvflare-{uuid.uuid4().hex[:6]}"
        self._folder = folder

    def kubectl(self, *arguments: str, given: str = "", check: bool = True) -> str:
        """Runs kubectl in the deployment's namespace."""
        return kubectl(self.env, "-n", self.namespace, *arguments, given=given, check=check)

    def deploy(self) -> None:
        """Provisions, exports the job, and starts server, sites and an admin's pod."""
        sites = self._provision()
        (self._folder / "net.py").write_text(NET)
        (self._folder / "client.py").write_text(TRAIN)
        (self._folder / "export.py").write_text(EXPORT)
        self._python("export.py")
        self.kubectl("create", "namespace", self.namespace)
        bodies: list[dict[str, Any]] = [_service()]
        for site in ("server", *SITES, ADMIN):
            extra = [self._folder / "job"] if site == ADMIN else []
            name = site.partition("@")[0]
            bodies.append(_secret(name, _packed([sites / site, *extra])))
            bodies.append(self._set(name, site))
        listed = {"apiVersion": "v1", "kind": "List", "items": bodies}
        self.kubectl("apply", "-f", "-", given=json.dumps(listed))

    def remove(self) -> None:
        """Deletes the namespace with everything in it."""
        self.kubectl("delete", "namespace", self.namespace, "--wait=false", check=False)

    def ask(self, what: str, seconds: float = 120) -> str:
        """The answer of an admin session; empty if the server does not answer in time."""
        deadline = time.monotonic() + seconds
        while True:
            output = self.kubectl(
                "exec", "admin-0", "--", "timeout", "30", "python3", "-c", ASK, what, check=False
            )
            found = [line for line in output.splitlines() if line.startswith("ANSWER ")]
            if found:
                return found[-1].removeprefix("ANSWER ")
            if time.monotonic() > deadline:
                return ""
            time.sleep(2)

    def rounds(self) -> list[float]:
        """Times at which the current server saved a model, in seconds since the epoch."""
        text = self.kubectl("logs", "server-0", "--timestamps", check=False)
        return [_moment(line) for line in text.splitlines() if SAVED in line]

    def place(self, name: str) -> PodPlacement:
        """The placement of a pod."""
        return placement_of(json.loads(self.kubectl("get", "pod", f"{name}-0", "-o", "json")))

    def _python(self, *arguments: str) -> None:
        subprocess.run(
            [sys.executable, *arguments], cwd=self._folder, check=True, capture_output=True
        )

    def _provision(self) -> Path:
        lighter = "nvflare.lighter.impl."
        project = {
            "api_version": 3,
            "name": "alone",
            "description": "NVFlare by itself",
            "participants": [
                {"name": "server", "type": "server", "org": "nvidia", "fed_learn_port": 8002,
                 "default_host": "server"},
                {"name": ADMIN, "type": "admin", "org": "nvidia", "role": "project_admin"},
                *({"name": site, "type": "client", "org": "nvidia"} for site in SITES),
            ],
            "builders": [
                {"path": f"{lighter}workspace.WorkspaceBuilder",
                 "args": {"template_file": ["master_template.yml"]}},
                {"path": f"{lighter}static_file.StaticFileBuilder",
                 "args": {"config_folder": "config"}},
                {"path": f"{lighter}cert.CertBuilder"},
                {"path": f"{lighter}signature.SignatureBuilder"},
            ],
        }  # fmt: skip
        (self._folder / "project.yml").write_text(json.dumps(project))  # JSON is YAML
        self._python("-m", "nvflare.cli", "provision", "-p", "project.yml", "-w", "made")
        return next(self._folder.glob("made/*/prod_00"))

    def _set(self, name: str, site: str) -> dict[str, Any]:
        start = f"{UNPACK} exec bash /ws/{site}/startup/sub_start.sh --once"
        if site == ADMIN:
            start = f"{UNPACK} sleep 86400"
        image = f"{self.env['FEDJOB_CLUSTER_REGISTRY']}/fedjob/runtime:{__version__}"
        container = {
            "name": "main",
            "image": image,
            "args": ["bash", "-c", start],
            "env": [{"name": key, "value": "/ws"} for key in ("HOME", "TMPDIR")],
            "resources": {"limits": {"memory": LIMIT}, "requests": {"memory": "300Mi"}},
            "volumeMounts": [
                {"name": "ws", "mountPath": "/ws"},
                {"name": "kit", "mountPath": "/kit"},
            ],
        }
        volumes = [
            {"name": "ws", "emptyDir": {}},
            {"name": "kit", "secret": {"secretName": f"kit-{name}"}},
        ]
        # The first site has a node of its own, so that a fault of that node hits only this site.
        node = WORKER_NODES[site == SITES[0]]
        template = {
            "metadata": {"labels": {"app": name}},
            "spec": {
                "nodeSelector": {"kubernetes.io/hostname": node},
                "terminationGracePeriodSeconds": 5,
                "securityContext": {"fsGroup": 10001},
                "containers": [container],
                "volumes": volumes,
            },
        }
        return {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"name": name},
            "spec": {
                "serviceName": name,
                "selector": {"matchLabels": {"app": name}},
                "template": template,
            },
        }


def _service() -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "server"},
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {"app": "server"},
            "ports": [{"port": 8002}],
        },
    }


def _secret(name: str, data: bytes) -> dict[str, Any]:
    text = base64.b64encode(data).decode()
    meta = {"name": f"kit-{name}"}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": {"kit.tgz": text}}


def _packed(paths: Sequence[Path]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for path in paths:
            archive.add(path, path.name)
    return buffer.getvalue()


def _moment(line: str) -> float:
    # Python parses at most microseconds; the timestamps have nanoseconds.
    text, _, _ = line.partition(" ")
    return datetime.fromisoformat(text[:26].rstrip("Z") + "+00:00").timestamp()


Hit = Callable[[NvflareDeployment], Callable[[], None] | None]
HELD = {
    "worker cut off the server, 25 s": 25,
    "worker's node paused, 60 s": 60,
    "server's node paused, 60 s": 60,
    "worker's node paused, 150 s": 150,
    "server's node paused, 150 s": 150,
}
"""Seconds until a fault is undone, by fault."""


def _delete(name: str) -> Hit:
    return lambda alone: alone.kubectl("delete", "pod", f"{name}-0", "--wait=false") and None


def _cut(alone: NvflareDeployment) -> Callable[[], None]:
    site, server = alone.place("site-1"), alone.place("server")
    site.cut_off(server.ip)
    return lambda: site.join(server.ip)


def _evict(alone: NvflareDeployment) -> None:
    path, body = eviction_of("site-1-0", alone.namespace)
    alone.kubectl("create", "--raw", path, "-f", "-", given=body)


def _starve(alone: NvflareDeployment) -> None:
    alone.kubectl("exec", "site-1-0", "--", "touch", HUNGRY)


def _pause(name: str) -> Hit:
    def pause(alone: NvflareDeployment) -> Callable[[], None]:
        node = alone.place(name).node
        docker("pause", node)
        return lambda: docker("unpause", node) and None

    return pause


FAULTS: dict[str, Hit] = {
    "worker pod deleted": _delete("site-1"),
    "worker container killed": lambda alone: alone.place("site-1").kill_container(),
    "worker's job process killed": lambda alone: alone.place("site-1").kill_processes(CLIENT_JOB),
    "server pod deleted": _delete("server"),
    "server container killed": lambda alone: alone.place("server").kill_container(),
    "server's job process killed": lambda alone: alone.place("server").kill_processes(SERVER_JOB),
    "worker evicted": _evict,
    "worker cut off the server, 25 s": _cut,
    "worker's node paused, 60 s": _pause("site-1"),
    "server's node paused, 60 s": _pause("server"),
    "worker's node paused, 150 s": _pause("site-1"),
    "server's node paused, 150 s": _pause("server"),
    "worker out of memory": _starve,
}


def observe(fault: str, folder: Path) -> dict[str, Any]:
    """Deploys, injects one fault in the middle of the third round, and observes the outcome."""
    alone = NvflareDeployment(folder)
    try:
        alone.deploy()
        deadline = time.monotonic() + 240
        assert alone.ask("submit", 180), "no job could be submitted"
        while len(alone.rounds()) < 2:
            assert time.monotonic() < deadline, alone.kubectl("logs", "server-0", "--tail=30")
            time.sleep(0.5)
        time.sleep(PAUSE / 2)
        undo = FAULTS[fault](alone)
        struck = time.time()
        if undo is not None:
            try:
                time.sleep(HELD[fault])
            finally:
                undo()
        while time.time() < struck + HELD.get(fault, 0) + WATCHED:
            # A round in progress at the time of the fault may still end normally.
            later = [moment - struck for moment in alone.rounds() if moment > struck + PAUSE]
            if later:
                return {"fault": fault, "became": "resumes", "seconds": later[0]}
            time.sleep(1)
        jobs = alone.ask("jobs", 60)
        hangs = "RUNNING" in jobs
        became = "hangs" if hangs else ("ends" if "FINISHED" in jobs else "the job is forgotten")
        return {"fault": fault, "became": became, "seconds": None, "jobs": jobs}
    finally:
        alone.remove()


def table(seen: Sequence[dict[str, Any]]) -> str:
    """A Markdown table: the outcome for each fault, with the seconds it took."""
    lines = ["| fault | NVFlare alone |", "| --- | --- |"]
    for fault in FAULTS:
        cells = [
            each["became"] + (f" after {each['seconds']:.1f} s" if each["seconds"] else "")
            for each in seen
            if each["fault"] == fault
        ]
        if cells:
            lines.append(f"| {fault} | {'; '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    """Runs the faults and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=1, help="deployments in parallel")
    parser.add_argument("--only", action="append", default=[], help="only faults with this text")
    parser.add_argument("--out", type=Path, default=ROOT / "out/chaos")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    seen: list[dict[str, Any]] = []
    lock = threading.Lock()

    def run(fault: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            found = observe(fault, Path(folder))
        with lock:
            seen.append(found)
            (given.out / "nvflare.json").write_text(json.dumps(seen, indent=1))
        print(json.dumps(found), flush=True)

    chosen = [f for f in FAULTS if not given.only or any(text in f for text in given.only)]
    struck = [fault for fault in chosen for _ in range(given.repeat)]
    with ThreadPoolExecutor(given.at_once) as pool:
        list(pool.map(run, [fault for fault in struck if "node" not in fault]))
    try:
        for fault in struck:
            if "node" in fault:
                run(fault)
    finally:
        unpause_all()
    print(f"\n{table(seen)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
