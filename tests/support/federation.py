"""A real federation for tests: the commands that pods start, as processes; real S3, real mTLS.

Unlike the local engine it restarts nothing by itself: a test kills what it wants to and says what
starts again. It is torn down whole, whatever the test did.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fedjob.engines.local.store.embedded_store import EmbeddedStore
from fedjob.engines.local.store.ports import Ports
from fedjob.protocol.commit import Commit
from fedjob.protocol.config import (
    ENV_FORK_SERVER,
    ServerConfig,
    StoreLocation,
    WorkerConfig,
    WorkerShard,
)
from fedjob.protocol.server_status import ServerStatus
from fedjob.spec.models.job import FederatedJobSpec
from fedjob.spec.models.strategy import Strategy
from fedjob.storage.bucket import Bucket
from fedjob.storage.layout import Layout
from fedjob.storage.rounds import RoundLog
from fedjob_runtime.processes.children import descendants
from support.fork_server import HERE, command_line, environment, shared_fork_server

MARK = "FEDJOB_TEST_FEDERATION"
AGENT = "server-agent"
"""The site of the server's agent, which runs NVFlare."""
WORKER = "fedjob_runtime.worker.main"
MODULES = {"server": "fedjob_runtime.server.main", AGENT: "fedjob_runtime.server.agent.main"}

HYPERPARAMETERS = {
    "local_epochs": 1,
    "batch_size": 8,
    "learning_rate": 0.1,
    "num_classes": 0,
    "img_size": 8,
    "manifest_file": "manifest.ndjson",
    "extra": {},
}


def shard_bytes(samples: int) -> bytes:
    """A shard with nothing but a manifest: what the model functions of these tests read."""
    import io

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        lines = [json.dumps({"id": str(i), "uri": "x.bin", "y": 0}) for i in range(samples)]
        archive.writestr("manifest.ndjson", "\n".join(lines) + "\n")
        archive.writestr("x.bin", b"x")
    return buffer.getvalue()


class Federation:
    """One job: `samples[i]` lines in the shard of worker-i.

    Args:
        folder: Where everything lies.
        store: A running store.
        model_def: The user's file.
        class_name: What makes its model; None where the job has none.
        samples: Manifest lines of each worker's shard.
        train_fn: Its training function.
        federation: Fields of spec.federation, snake_case.
        extra: training.extra.
        name: The job's name.
        validate_fn: The user's fl_validate.
        model_args: Of `Net`.
        validation: The validation shard's ZIP.
        checkpoint: A file with the initial weights.
        hyperparameters: Other than HYPERPARAMETERS.
        shards: The shards' ZIPs, in place of those made from `samples`.
        components: The user's own `executor`, `persistor`, `aggregator`: {path, args}.
        sitecustomize: Code that every process of the federation runs first.
        shared: Its sites share the tests' fork server, as in a local run; else each has its own, as
            in a pod. Not with `sitecustomize`, which a shared one has not run.
    """

    def __init__(
        self,
        folder: Path,
        store: EmbeddedStore,
        model_def: str,
        samples: Sequence[int],
        *,
        train_fn: str = "fl_train_model",
        federation: Mapping[str, Any] | None = None,
        extra: Mapping[str, Any] | None = None,
        name: str = "job",
        validate_fn: str | None = None,
        model_args: Mapping[str, Any] | None = None,
        validation: bytes | None = None,
        checkpoint: Path | None = None,
        hyperparameters: Mapping[str, Any] | None = None,
        shards: Sequence[bytes] | None = None,
        components: Mapping[str, Mapping[str, Any]] | None = None,
        sitecustomize: str | None = None,
        shared: bool = True,
        class_name: str | None = "Net",
    ) -> None:
        self.folder, self.store, self.name = folder, store, name
        folder.mkdir(parents=True, exist_ok=True)
        self._path = HERE
        self._shared = shared and sitecustomize is None
        if sitecustomize is not None:
            (folder / "site").mkdir()
            (folder / "site/sitecustomize.py").write_text(sitecustomize)
            self._path = f"{folder / 'site'}:{HERE}"
        self.workers = [f"worker-{i}" for i in range(len(samples))]
        self.spec = FederatedJobSpec.model_validate(
            {
                "model": {"source": {"inline": model_def}, "className": class_name},
                "federation": dict(federation or {}),
            }
        )
        prefix = folder.name
        self.location = StoreLocation(
            endpoint=store.location.endpoint, bucket=store.location.bucket, prefix=prefix
        )
        self.bucket = Bucket(self.location, store.credentials)
        self.layout = Layout("default", name, prefix)
        self.log = RoundLog(self.bucket, self.layout)
        self._ports = Ports()
        self.http_port, self.fl_port = self._ports.take(), self._ports.take()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._logs: list[Any] = []
        arguments = {
            "data_root": "shard",
            "adapter_module": "model_def",
            "train_fn": train_fn,
            "validate_fn": validate_fn,
            "class_name": class_name,
            "partial": self.spec.federation.partial,
            "model_args": dict(model_args or {}),
            "hyperparameters": {
                **HYPERPARAMETERS,
                **(hyperparameters or {}),
                "extra": dict(extra or {}),
            },
        }
        self._job_folder(model_def, arguments, components or {})
        for index, count in enumerate(samples):
            body = shards[index] if shards is not None else shard_bytes(count)
            self.bucket.put_bytes(self.layout.shard(f"shard-{index}.zip"), body)
        if validation is not None:
            self.bucket.put_bytes(self.layout.shard("validation.zip"), validation)
        key = None
        if checkpoint is not None:
            key = self.layout.model + checkpoint.name
            self.bucket.upload_file(checkpoint, key)
        self._kits()
        self._configs(key, validation is not None)

    def _job_folder(
        self,
        model_def: str,
        arguments: dict[str, Any],
        components: Mapping[str, Mapping[str, Any]],
    ) -> None:
        job = self.folder / "jobfolder"
        (job / "app/custom").mkdir(parents=True)
        (job / "app/config").mkdir()
        (job / "app/custom/model_def.py").write_text(model_def)
        (job / "meta.json").write_text(
            json.dumps(
                {
                    "name": self.spec.federation.job_name,
                    "resource_spec": {},
                    "deploy_map": {"app": ["@ALL"]},
                    "min_clients": 1,
                }
            )
        )
        client = {
            "format_version": 2,
            "executors": [
                {
                    "tasks": ["train", "validate", "submit_model"],
                    "executor": {
                        "path": "fedjob_runtime.worker.executor.TrainExecutor",
                        "args": arguments,
                        **components.get("executor", {}),
                    },
                }
            ],
            "task_result_filters": [],
            "task_data_filters": [],
            "components": [
                {
                    "id": "tensors",
                    "path": "fedjob_runtime.worker.tensor_codec.TensorExchange",
                    "args": {},
                }
            ],
        }
        federation = self.spec.federation
        strategy = federation.strategy or Strategy()
        server = {
            "format_version": 2,
            "server": {"heart_beat_timeout": 600, "task_request_interval": 0.2},
            "task_data_filters": [],
            "task_result_filters": [],
            "components": [
                {
                    "id": "persistor",
                    "path": "fedjob_runtime.server.job_process.persistor.ModelPersistor",
                    "args": {
                        "class_name": arguments["class_name"],
                        "model_args": arguments["model_args"],
                        "num_classes": 0,
                    },
                }
            ],
            "workflows": [
                {
                    "id": "fedavg",
                    "path": "fedjob_runtime.server.job_process.controller.SegmentController",
                    "args": {
                        "num_rounds": federation.num_rounds,
                        "min_clients": federation.min_clients,
                        "wait_time_after_min_received": federation.wait_time_after_min_received,
                        "round_timeout": federation.round_timeout,
                        "persistor_id": "persistor",
                        "partial": federation.partial,
                        "strategy": strategy.name,
                        "strategy_args": strategy.arguments(),
                    },
                }
            ],
        }
        if "persistor" in components:
            server["components"] = [{"id": "persistor", **components["persistor"]}]
        if "aggregator" in components:
            server["components"] += [{"id": "aggregator", **components["aggregator"]}]  # type: ignore[operator]
        (job / "app/config/config_fed_client.json").write_text(json.dumps(client))
        (job / "app/config/config_fed_server.json").write_text(json.dumps(server))
        self.job_folder = job

    def _kits(self) -> None:
        command = [
            sys.executable,
            "-m",
            "fedjob_runtime.nvflare_site.provisioning",
            "--out",
            str(self.folder / "kits"),
        ]
        command += ["--project", self.name, "--server-name", "localhost"]
        command += ["--fl-port", str(self.fl_port)]
        for worker in self.workers:
            command += ["--worker", worker]
        subprocess.run(command, check=True, env=self._env(), capture_output=True)

    def _configs(self, checkpoint: str | None, validation: bool) -> None:
        shards = [
            WorkerShard(name=name, shard=f"shard-{i}.zip") for i, name in enumerate(self.workers)
        ]
        server = ServerConfig(
            namespace="default",
            name=self.name,
            spec=self.spec,
            num_classes=0,
            workers=shards,
            store=self.location,
            job_folder=str(self.job_folder),
            kit=str(self.folder / "kits/server"),
            admin_kit=str(self.folder / "kits/admin"),
            home=str(self.folder / "server"),
            http_port=self.http_port,
            checkpoint=checkpoint,
            validation_shard=self.layout.shard("validation.zip") if validation else None,
        )
        (self.folder / "server.json").write_text(server.model_dump_json(by_alias=True))
        for index, worker in enumerate(self.workers):
            url = self.folder / f"{worker}.url"
            url.write_text(self.bucket.presign_get(self.layout.shard(f"shard-{index}.zip")))
            config = WorkerConfig(
                namespace="default",
                name=self.name,
                worker=worker,
                shard=f"shard-{index}.zip",
                shard_url_file=str(url),
                job_folder=str(self.job_folder),
                kit=str(self.folder / "kits" / worker),
                home=str(self.home(worker)),
                device="cpu",
            )
            (self.folder / f"{worker}.json").write_text(config.model_dump_json(by_alias=True))

    def home(self, site: str) -> Path:
        """The folder in which a site's processes write."""
        return self.folder / site

    def _env(self) -> dict[str, str]:
        env = {**environment(), "PYTHONPATH": self._path, MARK: str(self.folder)}
        return {**env, ENV_FORK_SERVER: shared_fork_server()[1]} if self._shared else env

    def start(self, *sites: str) -> None:
        """Starts `server` or workers by name; all of them without names."""
        for site in sites or ("server", *self.workers):
            self.start_one(site)

    def start_one(self, site: str) -> None:
        """Starts a site's command; with the server's also its agent, unless that runs."""
        if site == "server" and (AGENT not in self.processes or self.processes[AGENT].poll()):
            self.start_one(AGENT)
        config = self.folder / f"{'server' if site == AGENT else site}.json"
        command = [sys.executable, "-m", MODULES.get(site, WORKER), "--config", str(config)]
        reader, writer = os.pipe()
        if site == "server":
            command += ["--credentials-fd", "0"]
            os.write(writer, json.dumps(self.store.credentials.environment()).encode())
        os.close(writer)
        log = open(config.with_suffix(".log"), "ab")  # noqa: SIM115 (closed in close())
        self._logs.append(log)
        self.processes[site] = subprocess.Popen(
            command,
            env=self._env(),
            stdin=reader,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        os.close(reader)

    def status(self, since: int = -1, wait: float = 0) -> ServerStatus:
        """What the server answers on /status."""
        url = f"http://127.0.0.1:{self.http_port}/status?since={since}&wait={wait}"
        with urllib.request.urlopen(url, timeout=wait + 10) as response:
            return ServerStatus.model_validate_json(response.read())

    def get(self, path: str) -> str:
        """The body of another path of the server."""
        with urllib.request.urlopen(
            f"http://127.0.0.1:{self.http_port}{path}", timeout=10
        ) as reply:
            return str(reply.read().decode())

    def last_status(self) -> ServerStatus:
        """What the server left when it ended."""
        return ServerStatus.model_validate_json((self.home("server") / "status.json").read_text())

    def until(
        self, condition: Callable[[ServerStatus], bool], seconds: float = 120, what: str = ""
    ) -> ServerStatus:
        """Waits until the status fulfils a condition; fails with the logs otherwise."""
        deadline = time.monotonic() + seconds
        last: ServerStatus | None = None
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, ValueError):
                last = self.status(last.sequence if last else -1, 1)
                if condition(last):
                    return last
            # Any other code is a fault, after which a test starts it again.
            if self.processes["server"].poll() in (0, 1):
                break
            time.sleep(0.05)
        raise AssertionError(f"{what or 'condition'} not met; last status: {last}\n{self.logs()}")

    def wait_end(self, seconds: float = 180) -> int:
        """The server's exit code."""
        try:
            return self.processes["server"].wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the server did not end\n{self.logs()}") from None

    def logs(self, tail: int = 6000) -> str:
        """The ends of all logs."""
        parts = []
        for path in sorted(self.folder.glob("*.log")):
            parts.append(f"===== {path.name}\n{path.read_text(errors='replace')[-tail:]}")
        return "\n".join(parts)

    def commits(self) -> list[Commit]:
        """All commits but the initial model's."""
        return [self.log.read(number) for number in self.log.commits() if number > 0]

    def model(self, number: int) -> dict[str, Any]:
        """A committed global model."""
        from safetensors.torch import load_file

        target = self.folder / f"model-{number}.safetensors"
        self.log.fetch_model(number, target)
        return load_file(target)

    def kept_restarting(self, *sites: str) -> contextlib.AbstractContextManager[None]:
        """Starts the sites again when they fail, as kubelet and engine do."""
        return _restarting(self, sites or ("server", AGENT, *self.workers))

    def descendants(self, site: str) -> list[tuple[int, str]]:
        """(pid, command line) of what a site's command started; the agent's is the server's."""
        parent = self.processes.get(f"{site}-agent", self.processes[site])
        found = [(pid, command_line(pid)) for pid in descendants(parent.pid)]
        return [(pid, line) for pid, line in found if line] + self._forked(self.folder / site)

    def _forked(self, folder: Path) -> list[tuple[int, str]]:
        """Processes of the shared fork server that run in a folder, which their command names."""
        if not self._shared:
            return []
        found = [(pid, command_line(pid)) for pid in descendants(shared_fork_server()[0])]
        return [(pid, line) for pid, line in found if f"{folder}/" in line]

    def wait_idle(self, site: str) -> None:
        """Waits until a site's command has ended what it started."""
        deadline = time.monotonic() + 30
        while self.descendants(site):
            assert time.monotonic() < deadline, self.descendants(site)
            time.sleep(0.05)

    def pid_of(self, site: str, part: str) -> int:
        """The process of a site whose command line contains `part`."""
        found = [pid for pid, line in self.descendants(site) if part in line]
        assert found, f"no process of {site} has {part!r}: {self.descendants(site)}"
        return found[-1]

    def orphans(self) -> list[int]:
        """Processes of this federation that live, found by their environment or command."""
        mark = f"{MARK}={self.folder}".encode()
        found = [pid for pid, _ in self._forked(self.folder)]
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
        return found

    def close(self) -> None:
        """Ends everything."""
        for process in self.processes.values():
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + 5
        while self.orphans() and time.monotonic() < deadline:
            time.sleep(0.1)
        for pid in self.orphans():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self.processes.values():
            process.wait()
        for log in self._logs:
            log.close()
        self.bucket.close()
        self._ports.release()
        shutil.rmtree(self.folder / "server", ignore_errors=True)


class _restarting(contextlib.AbstractContextManager[None]):  # noqa: N801 (a helper of one method)
    def __init__(self, federation: Federation, sites: Sequence[str]) -> None:
        self._federation, self._sites = federation, sites
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.2):
            for site in self._sites:
                code = self._federation.processes[site].poll()
                if code not in (None, 0, 1, 64):
                    self._federation.start_one(site)
