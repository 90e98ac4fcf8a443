"""Two namespaces of one operator: a victim whose job runs, and an author who attacks it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import yaml

from e2e.chart.release import PATIENCE, Release, get, kubectl
from fedjob.storage.layout import Layout
from support.repository import ROOT

VICTIM = "victim"
"""The name of the victim's job, and of an attacking job."""
BUCKET = "fedjob"
SPY = "spy"
"""The name of an attacking job that runs."""
SPYING = """
def spy(logger):
    import glob

    keys = []
    for path in glob.glob("/proc/[0-9]*/environ"):
        try:
            with open(path, "rb") as file:
                keys += [path] if b"AWS_SECRET" in file.read() else []
        except OSError:
            pass
    for folder in ("/var/run/secrets", "/etc/fedjob/admin", "/run/secrets"):
        keys += glob.glob(f"{folder}/**/token", recursive=True)
    logger.info("SPY found %s.", keys)
"""


@dataclass
class Tenants:
    """A release that serves both.

    Attributes:
        release: The operator with its store.
        victim: Namespace of a job that runs.
        author: Namespace in which an account may create FederatedJobs, and nothing else.
        repository: Prefix of the repositories of jobs' images.
    """

    release: Release
    victim: str
    author: str
    repository: str

    def prepare(self) -> None:
        """Uploads the victim's shards and starts its job; gives the author its one right."""
        self.upload(self.victim, VICTIM)
        self.create(self.victim, VICTIM, federation={"numRounds": 1})
        # Without Pod Security, which would refuse some attacks before the chart's policy does.
        kubectl("label", "namespace", self.author, "pod-security.kubernetes.io/enforce-")
        kubectl("create", "serviceaccount", "author", "-n", self.author)
        create = ("--verb=create", "--resource=federatedjobs.fedjob.dev")
        kubectl("create", "role", "author", *create, "-n", self.author)
        account = f"--serviceaccount={self.author}:author"
        kubectl("create", "rolebinding", "author", "--role=author", account, "-n", self.author)

    def spy(self) -> None:
        """Runs a job of the author whose code looks for keys and tokens."""
        self.upload(self.author, SPY, "digits-0.zip", "validation.zip")
        body = yaml.safe_load((ROOT / "examples/digits/job.yaml").read_text())
        source = body["spec"]["model"]["source"]["inline"]
        for name in ("fl_train", "fl_validate"):
            head = f"def {name}(model, env, out_dir, logger=None):\n"
            assert head in source
            source = source.replace(head, f"{head}    spy(logger)\n")
        self.attack(
            SPY,
            model={"source": {"inline": f"{source}\n\n{SPYING}"}},
            federation={"numRounds": 1, "minClients": 1},
        )

    @property
    def account(self) -> str:
        """The author's user name."""
        return f"system:serviceaccount:{self.author}:author"

    @property
    def operator(self) -> str:
        """The operator's user name."""
        return f"system:serviceaccount:{self.release.namespace}:{self.release.name}-operator"

    def upload(self, where: str, name: str, *files: str) -> None:
        """Puts shards of examples/digits, all by default, where a job of this name looks."""
        found = sorted((ROOT / "examples/digits/shards").glob("*.zip"))
        shards = [path for path in found if not files or path.name in files]
        assert shards, "run python examples/digits/make_shards.py"
        with self.release.s3() as client:
            for path in shards:
                client.upload_file(str(path), BUCKET, Layout(where, name).shard(path.name))

    def create(self, where: str, name: str, *, user: str = "", **sections: Any) -> None:
        """Creates the job of examples/digits with sections of its spec changed; None removes."""
        body = yaml.safe_load((ROOT / "examples/digits/job.yaml").read_text())
        body["metadata"] = {"name": name, "namespace": where}
        for section, changes in sections.items():
            merged = {**body["spec"].get(section, {}), **changes}
            body["spec"][section] = {k: value for k, value in merged.items() if value is not None}
        body["spec"].setdefault("workers", {})["gpu"] = 0
        acting = [f"--as={user}"] if user else []
        kubectl("create", "-n", where, "-f", "-", *acting, stdin=json.dumps(body))

    def attack(self, name: str, **sections: Any) -> None:
        """Creates a job as the author."""
        self.create(self.author, name, user=self.account, **sections)

    def status(self, where: str, name: str) -> dict[str, Any]:
        """The job's status; empty before the operator has seen it."""
        found: dict[str, Any] = get("fj", name, "-n", where).get("status") or {}
        return found

    def wait(
        self, where: str, name: str, is_so: Callable[[dict[str, Any]], bool]
    ) -> dict[str, Any]:
        """The status, once it is so."""
        ends = time.monotonic() + PATIENCE
        while not is_so(status := self.status(where, name)):
            described = "" if time.monotonic() < ends else self.described(where, name)
            assert not described, described
            time.sleep(1)
        return status

    def refusals(self, name: str) -> set[str]:
        """The reasons of conditions that keep an attack from running, once there are any."""

        def reasons(status: dict[str, Any]) -> set[str]:
            waits = {"Progressing", "Reconciling", "Pending", "Preparing", "WaitingForInputs"}
            found = status.get("conditions") or []
            return {c["reason"] for c in found if c["status"] == "False"} - waits

        wanted = {"StoreNotAllowed", "RegistryNotAllowed", "PrefixInUse", "ImageBuildFailed"}
        status = self.wait(self.author, name, lambda found: bool(reasons(found) & wanted))
        return reasons(status) & wanted

    def keys(self, prefix: str) -> set[str]:
        """The objects of the store below a prefix."""
        with self.release.s3() as client:
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
            return {entry["Key"] for page in pages for entry in page.get("Contents", [])}

    def put(self, key: str, body: bytes) -> None:
        """Writes an object, as whoever has the keys of the store."""
        with self.release.s3() as client:
            client.put_object(Bucket=BUCKET, Key=key, Body=body)

    def children(self, where: str, name: str, kind: str) -> list[str]:
        """The names of a job's objects of a kind."""
        items = get(kind, "-n", where, "-l", f"fedjob.dev/job={name}")["items"]
        return sorted(item["metadata"]["name"] for item in items)

    @contextmanager
    def untouched(self, prefix: str) -> Iterator[None]:
        """Checks that the block adds, changes and removes no object below a prefix."""
        before = self.keys(prefix)
        yield
        assert self.keys(prefix) == before

    def described(self, where: str, name: str) -> str:
        """The job, the ends of its pods' logs, and the end of the operator's."""
        pods = [
            kubectl("logs", pod, "-n", where, "--all-containers", "--tail=40", check=False)
            for pod in self.children(where, name, "pods")
        ]
        log = kubectl(
            *("logs", f"deployment/{self.release.name}-operator", "-n", self.release.namespace),
            *("-c", "operator", "--tail=40"),
            check=False,
        )
        job = kubectl("describe", "fj", name, "-n", where, check=False)
        return "\n".join([job, *pods, log])
