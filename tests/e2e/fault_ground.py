"""Jobs on the cluster that no node takes: an operator's ground in the tests of its faults.

The pods wait for a node that does not exist, so nobody but the operator and the test changes
anything.
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

from e2e.api_faults import JOB_NAME, Life, Proxy, Script, Upstream
from e2e.fault_portrait import CHILDREN, Body, plain, portrait
from e2e.stage import KEYS, NET, Stage, digits_shards
from fedjob.spec.models.job import FederatedJob
from fedjob.storage.layout import Layout
from fedjob_operator.stages.startup_kits import make_kits
from fedjob_operator.state.observed import Kits


class Ground:
    """Namespaces with a store, and the API server as the test itself reaches it.

    Args:
        stage: Set up, without an operator.
        folder: For files.
    """

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.stage, self.namespace = stage, stage.jobs
        self.kubeconfig = folder / "kubeconfig"
        self.upstream = _upstream(Path(stage.env["KUBECONFIG"]), folder)
        shard = digits_shards()[0]
        self.shard = f"s3://jobs/{Layout(stage.jobs, 'shared').shard(shard.name)}"
        stage.bucket.upload_file(shard, self.shard.removeprefix("s3://jobs/"))

    def settings(self, **more: str) -> dict[str, str]:
        """Of an operator for this ground; keyword arguments are further ones."""
        registry = self.stage.env["FEDJOB_PUSH_REGISTRY"]
        settings = {
            "NAMESPACES": self.namespace,
            "NAMESPACE": self.stage.system,
            "STORE_BUCKET": "jobs",
            "STORE_ENDPOINT": f"http://store.{self.stage.system}.svc.cluster.local:8333",
            "STORE_EXTERNAL_ENDPOINT": self.stage.endpoint,
            "BASE_IMAGE": f"{registry}/fedjob/runtime:0.1.0",
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

    async def __aenter__(self) -> Ground:
        self._session = self.upstream.session()
        self._lives: list[Life] = []
        return self

    async def __aexit__(self, *_: object) -> None:
        for life in self._lives:
            life.kill()
        for life in self._lives:
            await life.join()
            await life.proxy.__aexit__()
        await self.sweep()
        await self._session.close()
        self._lives = []
        gc.collect()  # what killed operators left open is told of here, and in no later test

    async def live(self, script: Script, holder: str = "", **more: str) -> Life:
        """Starts an operator behind a proxy of its own; it ends with the ground at the latest."""
        proxy = await Proxy(script, self.upstream, holder).__aenter__()
        self.kubeconfig.write_text(json.dumps(_kubeconfig(proxy.url)))
        self._lives.append(Life(self.settings(**more), proxy))
        return self._lives[-1]

    def check_lives(self) -> None:
        """An operator ends when it is told to, and at no other time."""
        for life in self._lives:
            assert not life.ended or life.told, (life.proxy.holder, life.code, life.error)

    def is_busy(self) -> bool:
        """Whether an operator is at work, or will be within seconds."""
        return any(life.is_busy() for life in self._lives if not life.ended)

    async def ask(
        self, method: str, path: str, body: Body | None = None, kind: str = "merge-patch+json"
    ) -> Body:
        """One request of the test's own."""
        headers = {"Content-Type": f"application/{kind if method == 'PATCH' else 'json'}"}
        data = json.dumps(body) if body is not None else None
        url = f"{self.upstream.url}{path}"
        async with self._session.request(method, url, data=data, headers=headers) as answer:
            found: Body = await answer.json()
            assert answer.status < 300 or answer.status == 404, found
            return found

    def path(self, kind: str, name: str = "") -> str:
        """Of a collection or an object in the jobs' namespace."""
        root = CHILDREN.get(kind, "/apis/fedjob.dev/v1alpha1")
        return f"{root}/namespaces/{self.namespace}/{kind}" + (f"/{name}" if name else "")

    async def create(self, job: str) -> None:
        """Submits a job that no node takes."""
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

    async def portraits(self) -> dict[str, Body]:
        """What is there of each job, without what differs between two equal jobs."""
        keys = await self._keys()
        return {
            job: {"objects": portrait(job, found), "keys": keys.get(job, [])}
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
        infos = await asyncio.to_thread(lambda: list(self.stage.bucket.list(root)))
        found: dict[str, list[str]] = defaultdict(list)
        for info in infos:
            job, _, key = info.key.removeprefix(root).partition("/")
            found[job].append(plain(key, job))
        return {job: sorted(keys) for job, keys in found.items()}

    async def sweep(self) -> None:
        """Deletes all jobs: their children first, or the garbage collector is busy for minutes."""
        for kind in CHILDREN:
            label = "labelSelector=fedjob.dev/job&gracePeriodSeconds=0"
            await self.ask("DELETE", f"{self.path(kind)}?{label}")
        await self.ask("DELETE", self.path("federatedjobs"))


class KitsOfOneMaking:
    """Kits that were really made once, under a new name every time.

    To make them takes seconds of a processor, and no call to the API server.
    """

    def __init__(self) -> None:
        self._made: Kits | None = None
        self._sets = 0

    async def __call__(self, job: FederatedJob, workers: int) -> Kits:
        """As fedjob_operator.stages.startup_kits.make_kits."""
        if self._made is None:
            self._made = await make_kits(job, workers)
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
