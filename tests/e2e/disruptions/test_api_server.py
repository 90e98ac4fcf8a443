"""Runs that a client follows while the API server refuses its credentials, or is restarted.

A restart disturbs every other test, so `make e2e` runs this folder last and alone.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.cluster_access.operator_deployment import OperatorDeployment, is_complete
from e2e.cluster_access.recorder import recorder, upload_shards
from support.cluster.tcp_proxy import TcpProxy, tcp_proxy

pytestmark = pytest.mark.e2e

NODE = "fedjob-control-plane"
ROUNDS, PAUSE_SECONDS = 8, 4.0
"""Longer than a token or the API server takes to change."""
VERBS = ["get", "list", "watch"]


@pytest.fixture
def proxy(deployment: OperatorDeployment) -> Iterator[TcpProxy]:
    text = yaml.safe_load(Path(deployment.env["KUBECONFIG"]).read_text())
    with tcp_proxy(text["clusters"][0]["cluster"]["server"]) as found:
        yield found


def start(kubeconfig: Path | str, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
    return subprocess.Popen(
        [Path(sys.executable).parent / "fedjob", *arguments], env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def begin(deployment: OperatorDeployment, name: str) -> None:
    """A job of two workers that has begun to train."""
    upload_shards(deployment, name, 4, 8)
    deployment.submit(name, **recorder(ROUNDS, pause=PAUSE_SECONDS))
    deployment.until(name, lambda status: status.get("state") == "Training")


class Credentials:
    """A ServiceAccount's token, which ends with the Secret that it is bound to."""

    def __init__(self, deployment: OperatorDeployment, proxy: TcpProxy, folder: Path) -> None:
        self._deployment, self._folder = deployment, folder
        self._where = ("-n", deployment.jobs)
        deployment.kubectl(*self._where, "create", "serviceaccount", "watcher")
        group = "rbac.authorization.k8s.io"
        rule = {"apiGroups": ["fedjob.dev"], "resources": ["federatedjobs"], "verbs": VERBS}
        head = {"apiVersion": f"{group}/v1", "metadata": {"name": "watcher"}}
        subject = {"kind": "ServiceAccount", "name": "watcher", "namespace": deployment.jobs}
        reference = {"apiGroup": group, "kind": "Role", "name": "watcher"}
        for body in (
            {**head, "kind": "Role", "rules": [rule]},
            {**head, "kind": "RoleBinding", "roleRef": reference, "subjects": [subject]},
        ):
            deployment.kubectl(*self._where, "apply", "-f", "-", given=yaml.safe_dump(body))
        self.token = self._new("first")
        plugin = {
            "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never",
            "command": "cat", "args": [str(folder / "credential.json")],
        }  # fmt: skip
        self.kubeconfig = self._write("kubeconfig", proxy, {"exec": plugin})
        self._old = self._write("old", proxy, {"token": self.token})

    def _new(self, secret: str) -> str:
        """A token that the plugin gives from now on."""
        self._deployment.kubectl(*self._where, "create", "secret", "generic", secret)
        bound = ("--bound-object-kind", "Secret", "--bound-object-name", secret)
        token = self._deployment.kubectl(*self._where, "create", "token", "watcher", *bound).strip()
        credential = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
                      "status": {"token": token}}  # fmt: skip
        (self._folder / "credential.json").write_text(json.dumps(credential))
        return token

    def _write(self, name: str, proxy: TcpProxy, user: dict[str, Any]) -> Path:
        text = yaml.safe_load(Path(self._deployment.env["KUBECONFIG"]).read_text())
        cluster = {**text["clusters"][0]["cluster"], "server": proxy.url.replace("http", "https"),
                   "tls-server-name": "kubernetes"}  # fmt: skip
        context = {"cluster": "c", "user": "u", "namespace": self._deployment.jobs}
        config = {
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": cluster}],
            "contexts": [{"name": "c", "context": context}],
            "users": [{"name": "u", "user": user}],
        }  # fmt: skip
        path = self._folder / name
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(config))
        return path

    def replace(self) -> None:
        """Returns when the API server refuses the first token; the plugin has another one."""
        self._deployment.kubectl(*self._where, "delete", "secret", "first")
        self._new("second")
        while True:  # a token that was accepted is cached for some seconds
            command = ["kubectl", "--kubeconfig", str(self._old), "auth", "whoami"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if "Unauthorized" in done.stderr:
                return
            time.sleep(0.5)


def test_run_is_followed_with_new_credentials_and_its_log_until_the_end(
    deployment: OperatorDeployment, proxy: TcpProxy, tmp_path: Path
) -> None:
    credentials = Credentials(deployment, proxy, tmp_path)
    begin(deployment, "renewed")
    watching = start(credentials.kubeconfig, "watch", "renewed")
    assert watching.stdout is not None
    first = watching.stdout.readline()
    where = ("-n", deployment.jobs)
    logging = start(
        deployment.env["KUBECONFIG"], "logs", "renewed", "--worker", "0", "--follow", *where
    )
    credentials.replace()
    assert not is_complete(deployment.status("renewed")), "the run must be longer than this"
    proxy.cut()
    rest, errors = watching.communicate(timeout=400)
    print(f"$ fedjob watch renewed\n{first}{rest}{errors}")
    assert watching.returncode == 0
    assert (first + rest).count(f"round {ROUNDS}/{ROUNDS}:") == 1
    assert "renewed is complete" in errors
    log, errors = logging.communicate(timeout=400)
    assert logging.returncode == 0, errors
    assert sum("RECORD " in line for line in log.splitlines()) == ROUNDS


def api_server_process() -> int | None:
    """Its id on this machine; None while it does not run."""
    command = ["docker", "top", NODE, "-eo", "pid,comm"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = [line.split() for line in listed.splitlines()]
    return next((int(row[0]) for row in found if row[1].startswith("kube-apiserver")), None)


def test_run_is_followed_through_a_restart_of_the_api_server(
    deployment: OperatorDeployment,
) -> None:
    """The operator and the run survive it as well."""
    begin(deployment, "restarted")
    watching = start(deployment.env["KUBECONFIG"], "watch", "restarted", "-n", deployment.jobs)
    assert watching.stdout is not None
    first = watching.stdout.readline()
    process = api_server_process()
    assert process is not None
    os.kill(process, signal.SIGKILL)
    while api_server_process() in (None, process):
        time.sleep(0.2)
    rest, errors = watching.communicate(timeout=400)
    print(f"$ fedjob watch restarted\n{first}{rest}{errors}")
    assert watching.returncode == 0
    assert "connection lost, trying again" in errors
    shown = first + rest
    assert shown.count(f"round {ROUNDS}/{ROUNDS}:") == 1
    assert "restarted is complete" in errors
    assert deployment.until("restarted", is_complete)["rounds"]["completed"] == ROUNDS
