"""A testbed for operator faults: a store, jobs that cannot be scheduled, and operators to kill.

The pods wait for a node that does not exist, so only the operator and the test change objects.
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import gc
import json
import ssl
from collections import defaultdict
from pathlib import Path
from typing import Any

import yaml

from e2e.cluster_access.operator_deployment import KEYS, NET, OperatorDeployment, digits_shards
from e2e.cluster_access.operator_thread import OperatorThread
from e2e.faults.api_faults import JOB_NAME, Script
from e2e.faults.fault_proxy import Proxy, Upstream
from e2e.faults.job_snapshot import CHILDREN, Body, plain, snapshot
from fedjob import __version__
from fedjob.spec.models.job import FederatedJob
from fedjob.storage.layout import Layout
from fedjob_operator.stages.startup_kits import make_kits
from fedjob_operator.state.observed import Kits


class FaultTestbed:
    """Namespaces with a store, and a direct connection to the API server for the test itself.

    Args:
        deployment: Set up, without an operator.
        folder: For the kubeconfigs and certificates.
    """

    def __init__(self, deployment: OperatorDeployment, folder: Path) -> None:
        self.deployment, self.namespace = deployment, deployment.jobs
        self.kubeconfig = folder / "kubeconfig"
        self.upstream = _upstream(Path(deployment.env["KUBECONFIG"]), folder)
        shard = digits_shards()[0]
        self.shard = f"s3://jobs/{Layout(deployment.jobs, 'shared').shard(shard.name)}"
        deployment.bucket.upload_file(shard, self.shard.removeprefix("s3://jobs/"))

    def settings(self, **more: str) -> dict[str, str]:
        """Environment of an operator for this testbed; keyword arguments override settings."""
        registry = self.deployment.env["FEDJOB_PUSH_REGISTRY"]
        settings = {
            "NAMESPACES": self.namespace,
            "NAMESPACE": self.deployment.system,
            "STORE_BUCKET": "jobs",
            "STORE_ENDPOINT": f"http://store.{self.deployment.system}.svc.cluster.local:8333",
            "STORE_EXTERNAL_ENDPOINT": self.deployment.endpoint,
            "BASE_IMAGE": f"{registry}/fedjob/runtime:{__version__}",
            "REPOSITORY": f"{registry}/{self.namespace}",
            "REGISTRY_INSECURE": "true",
            "POLL": "proxy",
            "HTTP_PORT": "0",
            "LEASE": "false",
            "WORKERS": "256",
            "RESYNC_SECONDS": "5",
            **more,
        }
        named = {f"FEDJOB_{name}": value for name, value in settings.items()}
        return {**KEYS.environment(), **named}

    async def __aenter__(self) -> FaultTestbed:
        self._session = self.upstream.session()
        self._operators: list[OperatorThread] = []
        return self

    async def __aexit__(self, *_: object) -> None:
        for each in self._operators:
            each.kill()
        for each in self._operators:
            await each.join()
            await each.proxy.__aexit__()
        await self.sweep()
        await self._session.close()
        self._operators = []
        gc.collect()  # resources that killed operators left open warn here, not in a later test

    async def start_operator(self, script: Script, holder: str = "", **more: str) -> OperatorThread:
        """Starts an operator behind its own proxy; it ends with the testbed at the latest."""
        proxy = await Proxy(script, self.upstream, holder).__aenter__()
        self.kubeconfig.write_text(json.dumps(_kubeconfig(proxy.url)))
        self._operators.append(OperatorThread(self.settings(**more), proxy))
        return self._operators[-1]

    def check_operators(self) -> None:
        """Fails if an operator has ended that the test did not stop."""
        for each in self._operators:
            assert not each.ended or each.may_end, (each.proxy.holder, each.code, each.error)

    def is_busy(self) -> bool:
        """Whether an operator has work in progress, or due within seconds."""
        return any(each.is_busy() for each in self._operators if not each.ended)

    async def ask(
        self, method: str, path: str, body: Body | None = None, kind: str = "merge-patch+json"
    ) -> Body:
        """Sends a request of the test itself, past all faults."""
        headers = {"Content-Type": f"application/{kind if method == 'PATCH' else 'json'}"}
        data = json.dumps(body) if body is not None else None
        url = f"{self.upstream.url}{path}"
        async with self._session.request(method, url, data=data, headers=headers) as answer:
            found: Body = await answer.json()
            assert answer.status < 300 or answer.status == 404, found
            return found

    def path(self, kind: str, name: str = "") -> str:
        """The API path of a collection or an object in the jobs' namespace."""
        root = CHILDREN.get(kind, "/apis/fedjob.dev/v1alpha1")
        return f"{root}/namespaces/{self.namespace}/{kind}" + (f"/{name}" if name else "")

    async def create(self, job: str) -> None:
        """Submits a job that cannot be scheduled."""
        nowhere = {"nodeSelector": {"fedjob.dev/nowhere": "true"}}
        spec = {
            "model": {"className": "Net", "source": {"inline": NET}},
            "shards": {"items": [{"name": "digits-0.zip", "uri": self.shard}]},
            "federation": {"numRounds": 1, "minClients": 1},
            "workers": {"gpu": 0, "maxRestarts": 10, **nowhere},
            "server": nowhere,
        }
        meta = {"name": job, "namespace": self.namespace}
        head = {"apiVersion": "fedjob.dev/v1alpha1", "kind": "FederatedJob"}
        await self.ask("POST", self.path("federatedjobs"), {**head, "metadata": meta, "spec": spec})

    async def change(self, job: str, **spec: Any) -> None:
        """Patches a job's spec."""
        await self.ask("PATCH", self.path("federatedjobs", job), {"spec": spec})

    async def pods(self, job: str) -> list[str]:
        """The names of a job's pods."""
        page = await self.ask("GET", f"{self.path('pods')}?labelSelector=fedjob.dev/job={job}")
        return [item["metadata"]["name"] for item in page["items"]]

    async def snapshots(self) -> dict[str, Body]:
        """The objects and store keys of each job, normalized so that equal jobs compare equal."""
        keys = await self._keys()
        return {
            job: {"objects": snapshot(job, found), "keys": keys.get(job, [])}
            for job, found in (await self._everything()).items()
            if job
        }

    async def _everything(self) -> dict[str, dict[str, list[Body]]]:
        """Jobs and children by job and kind."""
        found: dict[str, dict[str, list[Body]]] = defaultdict(lambda: defaultdict(list))
        kinds = [*CHILDREN, "federatedjobs"]
        pages = await asyncio.gather(*(self.ask("GET", self.path(kind)) for kind in kinds))
        for kind, page in zip(kinds, pages, strict=True):
            for item in page["items"]:
                labels = item["metadata"].get("labels") or {}
                name = JOB_NAME.match(item["metadata"]["name"])
                job = labels.get("fedjob.dev/job") or (name.group(1) if name else "")
                found[job][kind].append(item)
        return found

    async def _keys(self) -> dict[str, list[str]]:
        """The object keys of every job."""
        root = Layout(self.namespace, "x").root.removesuffix("x/")
        infos = await asyncio.to_thread(lambda: list(self.deployment.bucket.list(root)))
        found: dict[str, list[str]] = defaultdict(list)
        for info in infos:
            job, _, key = info.key.removeprefix(root).partition("/")
            found[job].append(plain(key, job))
        return {job: sorted(keys) for job, keys in found.items()}

    async def sweep(self) -> None:
        """Deletes all jobs, children first: otherwise garbage collection takes minutes."""
        for kind in CHILDREN:
            label = "labelSelector=fedjob.dev/job&gracePeriodSeconds=0"
            await self.ask("DELETE", f"{self.path(kind)}?{label}")
        await self.ask("DELETE", self.path("federatedjobs"))


class ReusedKits:
    """Real startup kits, made once and returned under a new name every time.

    Making them takes seconds of CPU and no API call, so the faults do not depend on it.
    """

    def __init__(self) -> None:
        self._made: Kits | None = None
        self._sets = 0

    async def __call__(self, job: FederatedJob, workers: int, folder: str = "") -> Kits:
        """Stands in for fedjob_operator.stages.startup_kits.make_kits."""
        if self._made is None:
            self._made = await make_kits(job, workers, folder)
        self._sets += 1
        return dataclasses.replace(self._made, name=f"set{self._sets:09d}")


def _upstream(kubeconfig: Path, folder: Path) -> Upstream:
    text = yaml.safe_load(kubeconfig.read_text())
    cluster, user = text["clusters"][0]["cluster"], text["users"][0]["user"]
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    tls = ssl.create_default_context(cadata=authority)
    for name in ("client-certificate", "client-key"):
        (folder / name).write_bytes(base64.b64decode(user[f"{name}-data"]))
    tls.load_cert_chain(folder / "client-certificate", folder / "client-key")
    return Upstream(cluster["server"], tls)


def _kubeconfig(url: str) -> Body:
    context = {"name": "c", "context": {"cluster": "c", "user": "c"}}
    return {
        "apiVersion": "v1", "kind": "Config", "current-context": "c", "contexts": [context],
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "c", "user": {}}],
    }  # fmt: skip
