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

PROJECT = Path(__file__).parents[2]
FIELD_MANAGER = "fedjob-e2e"
"""Who applies what the tests share, the CRD above all."""


class NoClusterError(Exception):
    """No cluster answers; the text says why, and what to do."""


class KubectlError(Exception):
    """kubectl ended with an exit code other than 0; the text holds all it wrote."""


def cluster_environment() -> dict[str, str]:
    """The environment of programs that use the cluster, as `tests/cluster/env` sets it."""
    script = f'eval "$({PROJECT}/tests/cluster/env)" && env -0'
    shown = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    return dict(line.split("=", 1) for line in shown.stdout.split("\0") if line)


@dataclass(frozen=True)
class Kube:
    """kubectl against the project's cluster, whatever kubeconfig the user has.

    Attributes:
        environment: As `tests/cluster/env` sets it.
    """

    environment: dict[str, str] = field(repr=False)

    @classmethod
    def find(cls) -> Kube:
        """The running cluster.

        Raises:
            NoClusterError: Where none answers.
        """
        kube = cls(cluster_environment())
        if not kube.kubeconfig.exists():
            raise NoClusterError(f"there is no {kube.kubeconfig}: run `make cluster`")
        if shutil.which("kubectl", path=kube.environment["PATH"]) is None:
            raise NoClusterError("there is no kubectl: run `make cluster`")
        try:
            kube("get", "--raw=/readyz", "--request-timeout=20s")
        except KubectlError as error:
            raise NoClusterError(f"no cluster answers: run `make cluster`\n{error}") from error
        return kube

    @property
    def kubeconfig(self) -> Path:
        """The cluster's own."""
        return Path(self.environment["KUBECONFIG"])

    def __call__(self, *arguments: str | Path, stdin: str | None = None) -> str:
        """Runs kubectl and returns what it printed.

        Raises:
            KubectlError: If it ends with another exit code than 0.
        """
        done = self._run(*arguments, stdin=stdin)
        if done.returncode:
            raise KubectlError(f"{done.args}: exit code {done.returncode}\n{done.stderr}")
        return done.stdout

    def get(self, *arguments: str) -> Any:
        """`kubectl get`, as JSON."""
        return json.loads(self("get", *arguments, "-o", "json"))

    def apply_crd(self, path: Path) -> None:
        """Brings the CRD up to date and waits until it is served; an equal one is not touched.

        Raises:
            KubectlError: If the API server refuses it.
        """
        ours = ("--server-side", "--force-conflicts", f"--field-manager={FIELD_MANAGER}")
        difference = self._run("diff", *ours, "-f", path)
        if difference.returncode == 1:  # 0: none; more: kubectl could not tell
            self("apply", *ours, "-f", path)
        elif difference.returncode:
            raise KubectlError(f"kubectl diff: {difference.stderr}")
        self("wait", "--for=condition=Established", "--timeout=60s", "-f", path)

    @contextlib.contextmanager
    def crd_as_it_is(self, *, but_mine: bool = False) -> Iterator[None]:
        """While the caller relies on the CRD, none of the tests beside it changes it.

        Args:
            but_mine: The caller changes it itself, so nobody else relies on it meanwhile.
        """
        with self.kubeconfig.with_name("crd.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX if but_mine else fcntl.LOCK_SH)
            yield

    @contextlib.contextmanager
    def namespace(self, prefix: str) -> Iterator[str]:
        """A namespace of the caller's own, removed with all it holds."""
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
    """What the API server said to a request.

    Attributes:
        code: The HTTP status.
        body: The object as it was stored, or would have been; of a refusal, a `Status`.
    """

    code: int
    body: dict[str, Any]

    @property
    def accepted(self) -> bool:
        """Whether the request was carried out."""
        return self.code in (200, 201)

    @property
    def message(self) -> str:
        """What kubectl prints of a refusal; empty where there was none."""
        return "" if self.accepted else str(self.body["message"])

    @property
    def fields(self) -> set[str]:
        """The fields that a refusal blames."""
        causes = self.body.get("details", {}).get("causes", [])
        return set() if self.accepted else {cause["field"] for cause in causes}


class JobsApi:
    """FederatedJobs of one namespace; every request is checked strictly, as kubectl's are.

    The `kubernetes` package keeps the connection: a thousand requests take seconds, where a
    thousand starts of kubectl would take minutes.
    """

    def __init__(self, kube: Kube, namespace: str) -> None:
        self.namespace = namespace
        self._client = config.new_client_from_config(str(kube.kubeconfig))
        self._api = client.CustomObjectsApi(self._client)

    def close(self) -> None:
        """Closes the connection, which the package itself leaves to the garbage collector."""
        self._client.rest_client.pool_manager.clear()
        self._client.close()

    def create(self, body: dict[str, Any], *, dry_run: bool = True) -> Answer:
        """Creates an object, or asks what would come of it."""
        return self._ask(self._api.create_namespaced_custom_object, 201, dry_run, body=body)

    def patch(self, name: str, changes: dict[str, Any], *, dry_run: bool = True) -> Answer:
        """Changes an object by a JSON merge patch, or asks what would come of it."""
        method = self._api.patch_namespaced_custom_object
        return self._ask(method, 200, dry_run, name=name, body=changes)

    def _ask(self, method: Any, success: int, dry_run: bool, **arguments: Any) -> Answer:
        where = ("fedjob.dev", "v1alpha1", self.namespace, "federatedjobs")
        options = {"field_validation": "Strict", **({"dry_run": "All"} if dry_run else {})}
        try:
            return Answer(success, method(*where, **arguments, **options))
        except client.ApiException as error:
            return Answer(error.status, json.loads(error.body))
