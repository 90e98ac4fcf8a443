"""The project's cluster: kubectl, namespaces, and the API of FederatedJobs over one connection."""

from __future__ import annotations

import contextlib
import fcntl
import json
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kubernetes import client, config

from support.repository import ROOT

FIELD_MANAGER = "fedjob-e2e"
"""Field manager of objects that the tests share, above all the CRD."""


class NoClusterError(Exception):
    """No cluster answers; the message gives the cause and the fix."""


class KubectlError(Exception):
    """kubectl failed; the message holds its output."""


def cluster_environment() -> dict[str, str]:
    """The environment of programs that use the cluster, as `tests/cluster/env` sets it."""
    script = f'eval "$({ROOT}/tests/cluster/env)" && env -0'
    shown = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    return dict(line.split("=", 1) for line in shown.stdout.split("\0") if line)


def kubectl(
    environment: dict[str, str], *arguments: str, given: str = "", check: bool = True
) -> str:
    """The output of kubectl with `given` on its stdin; a failure fails the test with its stderr."""
    done = subprocess.run(
        ["kubectl", *arguments],
        input=given.encode(),
        env=environment,
        capture_output=True,
        check=False,
    )
    assert not check or done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


@dataclass(frozen=True)
class Kube:
    """kubectl against the project's cluster, independent of the user's kubeconfig.

    Attributes:
        environment: As set by `tests/cluster/env`.
    """

    environment: dict[str, str] = field(repr=False)

    @classmethod
    def find(cls) -> Kube:
        """Connects to the running cluster.

        Raises:
            NoClusterError: If no cluster answers.
        """
        kube = cls(cluster_environment())
        if not kube.kubeconfig.exists():
            raise NoClusterError(f"{kube.kubeconfig} does not exist: run `make cluster`")
        if shutil.which("kubectl", path=kube.environment["PATH"]) is None:
            raise NoClusterError("kubectl is not installed: run `make cluster`")
        try:
            kube("get", "--raw=/readyz", "--request-timeout=20s")
        except KubectlError as error:
            raise NoClusterError(f"no cluster answers: run `make cluster`\n{error}") from error
        return kube

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig of the project's cluster."""
        return Path(self.environment["KUBECONFIG"])

    def __call__(self, *arguments: str | Path, stdin: str | None = None) -> str:
        """Runs kubectl and returns its output.

        Raises:
            KubectlError: If its exit code is not 0.
        """
        done = self._run(*arguments, stdin=stdin)
        if done.returncode:
            raise KubectlError(f"{done.args}: exit code {done.returncode}\n{done.stderr}")
        return done.stdout

    def get(self, *arguments: str) -> Any:
        """`kubectl get`, as JSON."""
        return json.loads(self("get", *arguments, "-o", "json"))

    def apply_crd(self, path: Path) -> None:
        """Updates the CRD where it differs, and waits until it is served.

        Raises:
            KubectlError: If the API server refuses it.
        """
        ours = ("--server-side", "--force-conflicts", f"--field-manager={FIELD_MANAGER}")
        difference = self._run("diff", *ours, "-f", path)
        if difference.returncode == 1:  # 0: no difference; above 1: kubectl failed
            self("apply", *ours, "-f", path)
        elif difference.returncode:
            raise KubectlError(f"kubectl diff: {difference.stderr}")
        self("wait", "--for=condition=Established", "--timeout=60s", "-f", path)

    @contextlib.contextmanager
    def crd_lock(self, *, exclusive: bool = False) -> Iterator[None]:
        """Locks the CRD against changes by tests that run in parallel.

        Args:
            exclusive: The caller changes the CRD, so no other test may rely on it meanwhile.
        """
        with self.kubeconfig.with_name("crd.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
            yield

    @contextlib.contextmanager
    def namespace(self, prefix: str) -> Iterator[str]:
        """Creates a namespace, and removes it with its objects at the end."""
        name = f"{prefix}-{uuid.uuid4().hex[:8]}"
        self("create", "namespace", name)
        try:
            yield name
        finally:
            self("delete", "namespace", name, "--wait=false")

    def _run(
        self, *arguments: str | Path, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        command = ["kubectl", *map(str, arguments)]
        return subprocess.run(
            command, capture_output=True, text=True, input=stdin, env=self.environment
        )


@dataclass(frozen=True)
class Answer:
    """The API server's response to a request.

    Attributes:
        code: The HTTP status code.
        body: The object as stored (or as a dry run would store it); a `Status` if refused.
    """

    code: int
    body: dict[str, Any]

    @property
    def accepted(self) -> bool:
        """Whether the request succeeded."""
        return self.code in (200, 201)

    @property
    def message(self) -> str:
        """The message of a refusal, as kubectl prints it; empty if accepted."""
        return "" if self.accepted else str(self.body["message"])

    @property
    def fields(self) -> set[str]:
        """The fields named in a refusal's causes."""
        causes = self.body.get("details", {}).get("causes", [])
        return set() if self.accepted else {cause["field"] for cause in causes}


class JobsApi:
    """FederatedJobs of one namespace, with strict field validation as in kubectl.

    The `kubernetes` package reuses its connection: a thousand requests take seconds, a thousand
    kubectl processes take minutes.
    """

    def __init__(self, kube: Kube, namespace: str) -> None:
        self.namespace = namespace
        self._client = config.new_client_from_config(str(kube.kubeconfig))
        self._api = client.CustomObjectsApi(self._client)

    def close(self) -> None:
        """Closes the connection pool, which the package leaves to the garbage collector."""
        self._client.rest_client.pool_manager.clear()
        self._client.close()

    def create(self, body: dict[str, Any], *, dry_run: bool = True) -> Answer:
        """Creates an object; by default as a dry run."""
        return self._ask(self._api.create_namespaced_custom_object, 201, dry_run, body=body)

    def patch(self, name: str, changes: dict[str, Any], *, dry_run: bool = True) -> Answer:
        """Changes an object by a JSON merge patch; by default as a dry run."""
        method = self._api.patch_namespaced_custom_object
        return self._ask(method, 200, dry_run, name=name, body=changes)

    def _ask(self, method: Any, success: int, dry_run: bool, **arguments: Any) -> Answer:
        where = ("fedjob.dev", "v1alpha1", self.namespace, "federatedjobs")
        options = {"field_validation": "Strict", **({"dry_run": "All"} if dry_run else {})}
        try:
            return Answer(success, method(*where, **arguments, **options))
        except client.ApiException as error:
            return Answer(error.status, json.loads(error.body))
