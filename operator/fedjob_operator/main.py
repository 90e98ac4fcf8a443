"""`fedjob-operator`: watches FederatedJobs with kopf, and reconciles them from its own queue.

kopf only watches: its handlers put an event into the cache and a key into the queue.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import kopf
from kubernetes.aio import config as kube_config
from kubernetes.aio.client import ApiClient, Configuration

from fedjob.errors import FedjobError
from fedjob.spec.models.job import GROUP, PLURAL, VERSION
from fedjob_operator.controller.executor import Executor
from fedjob_operator.controller.observer import Observer
from fedjob_operator.controller.probes import HealthServer
from fedjob_operator.controller.reconciler import Reconciler
from fedjob_operator.controller.resync import relist
from fedjob_operator.controller.status_poller import Poller
from fedjob_operator.controller.status_writer import StatusWriter
from fedjob_operator.controller.workqueue import Health, WorkQueue
from fedjob_operator.kube.client import PLURALS, WATCHED, ApiError, Cluster
from fedjob_operator.kube.cluster_identity import read_cluster_id
from fedjob_operator.kube.event_recorder import EventWriter
from fedjob_operator.kube.leader_election import Lease
from fedjob_operator.logs import log_json
from fedjob_operator.metrics import JOBS, LEADER
from fedjob_operator.naming import JOB, Key
from fedjob_operator.settings import Settings, read_settings
from fedjob_operator.stages.runner import Preparer
from fedjob_operator.stages.startup_kits import wipe_kits
from fedjob_operator.state.cache import Cache

EXIT_LOST = 75
"""Exit code after the lease was lost: the kubelet restarts the container, which then waits."""

_log = logging.getLogger("fedjob.operator")


class Operator:
    """The operator, assembled from its parts.

    Args:
        settings: The operator's settings.
        environment: Environment variables with the default store's keys.
        client: Connection to the API server.
    """

    def __init__(
        self, settings: Settings, environment: Mapping[str, str], client: ApiClient
    ) -> None:
        self._settings = settings
        self._lease = Lease(
            Cluster(client), settings.namespace, settings.lease_name, settings.pod_name
        )
        cluster = Cluster(client, self._lease.left if settings.lease else None)
        self._cluster = cluster
        defaults = settings.defaults(environment)
        self._cache = Cache(defaults)
        self._poller = Poller(
            cluster if settings.poll == "proxy" else None, self._cache, self._wake
        )
        self._preparer = Preparer(cluster, settings, defaults, self._cache, self._wake)
        reconciler = Reconciler(
            cluster,
            self._cache,
            observer=Observer(cluster, self._cache),
            executor=Executor(cluster, self._cache),
            preparer=self._preparer,
            poller=self._poller,
            statuses=StatusWriter(cluster, self._cache, EventWriter(cluster)),
            forget=self._forget,
        )
        self._queue = WorkQueue(reconciler, workers=settings.workers)
        self._acts = False
        self._http = HealthServer(
            settings.http_port, self._health, self._count_jobs, self._preparer.health
        )
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Asks the operator to end."""
        self._stop.set()

    async def run(self) -> int:
        """Serves until `stop` is called; returns the exit code."""
        await self._http.start()
        lost = False
        try:
            if self._settings.lease and not await self._first(self._lease.acquire()):
                return 0
            self._acts = True
            LEADER.set(1)
            lost = await self._act()
        finally:
            LEADER.set(0)
            await self._preparer.close()
            await self._poller.close()
            if self._settings.lease and self._acts and not lost:
                await self._lease.release()
            await self._http.stop()
        return EXIT_LOST if lost else 0

    async def _act(self) -> bool:
        """Watches and reconciles; whether the lease was lost."""
        flag = asyncio.Event()
        tasks = {
            "kopf": asyncio.create_task(self._watch(flag)),
            "queue": asyncio.create_task(self._queue.run()),
            "resync": asyncio.create_task(self._resync()),
            "stop": asyncio.create_task(self._stop.wait()),
        }
        if self._settings.lease:
            tasks["lease"] = asyncio.create_task(self._lease.keep())
        done, _ = await asyncio.wait(tasks.values(), return_when=asyncio.FIRST_COMPLETED)
        flag.set()
        for name in ("queue", "resync", "lease", "stop"):
            if name in tasks:
                tasks[name].cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.wait_for(tasks["kopf"], 20)
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        for task in done:
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error
        return "lease" in tasks and tasks["lease"] in done

    async def _first(self, acquire: Any) -> bool:
        """Whether the lease was acquired before `stop` was called."""
        taken, stop = asyncio.create_task(acquire), asyncio.create_task(self._stop.wait())
        done, pending = await asyncio.wait({taken, stop}, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        if taken in done:
            taken.result()  # raises where acquiring failed
        return taken in done

    async def _watch(self, flag: asyncio.Event) -> None:
        registry = kopf.OperatorRegistry()
        for handler in (kopf.login_with_service_account, kopf.login_with_kubeconfig):
            kopf.on.login(registry=registry, id=handler.__name__)(handler)
        kopf.on.event(GROUP, VERSION, PLURAL, registry=registry, id="job")(self._job_event())
        options = kopf.OperatorSettings()
        tune(options)
        for kind, version in WATCHED.items():
            group, _, bare = version.rpartition("/")
            options.watching.label_selectors[group, bare, PLURALS[kind]] = JOB
            on = kopf.on.event(group, bare, PLURALS[kind], registry=registry, id=kind)
            on(self._child_event(kind))
        namespaces = self._settings.namespaces
        await kopf.operator(
            registry=registry,
            settings=options,
            standalone=True,
            clusterwide=not namespaces,
            namespaces=namespaces,
            stop_flag=flag,
            identity=self._settings.pod_name,  # type: ignore[arg-type]
        )

    def _job_event(self) -> Callable[..., Any]:
        async def on_job(event: Any, **_: Any) -> None:
            body = dict(event["object"])
            self._wake(self._cache.saw_job(body, deleted=event["type"] == "DELETED"))

        return on_job

    def _child_event(self, kind: str) -> Callable[..., Any]:
        async def on_child(event: Any, **_: Any) -> None:
            body = dict(event["object"])
            key = self._cache.saw_child(kind, body, deleted=event["type"] == "DELETED")
            if key is not None and self._cache.job(key) is not None:
                self._wake(key)

        return on_child

    async def _resync(self) -> None:
        """Compares the cache with the cluster regularly, and reconciles every job."""
        while True:
            await asyncio.sleep(self._settings.resync_seconds)
            try:
                await relist(self._cluster, self._cache, self._settings.namespaces)
            except ApiError as error:
                _log.warning(str(error))
            for key in self._cache.all_keys():
                self._wake(key)

    def _wake(self, key: Key) -> None:
        self._queue.add(key)

    def _forget(self, key: Key) -> None:
        self._queue.forget(key)

    def _health(self) -> Health | None:
        return self._queue.health() if self._acts else None

    def _count_jobs(self) -> None:
        bodies = [self._cache.job(key) or {} for key in self._cache.all_keys()]
        states = Counter((body.get("status") or {}).get("state", "Pending") for body in bodies)
        JOBS.clear()
        for state, count in states.items():
            JOBS.labels(state).set(count)


def tune(options: kopf.OperatorSettings) -> None:
    """Reduces kopf to a watcher: it writes nothing to the cluster."""
    options.posting.enabled = False
    options.peering.standalone = True
    options.scanning.disabled = True  # no list of CRDs and namespaces
    options.persistence.finalizer = f"{GROUP}/unused"
    options.queueing.idle_timeout = 0.5
    options.process.ultimate_exiting_timeout = None


async def serve(settings: Settings, environment: Mapping[str, str]) -> int:
    """Runs the operator in this process."""
    if "KUBERNETES_SERVICE_HOST" in environment:
        kube_config.load_incluster_config()
    else:
        await kube_config.load_kube_config()
    configuration = Configuration.get_default_copy()
    # Cluster bounds its calls; long polls must not keep the calls of the lease waiting.
    configuration.connection_pool_maxsize = 0
    async with ApiClient(configuration) as client:
        wipe_kits(settings.kits_folder)
        cluster_id = await read_cluster_id(Cluster(client), settings.cluster_id)
        settings = settings.model_copy(update={"cluster_id": cluster_id})
        operator = Operator(settings, environment, client)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, operator.stop)
        return await operator.run()


def main() -> int:
    """The command; fedjob_operator.settings lists the environment variables that it reads."""
    # kopf calls getpass.getuser, which fails for a uid without a name.
    os.environ.setdefault("USER", "fedjob")
    try:
        settings = read_settings(os.environ)
    except FedjobError as error:
        sys.stderr.write(f"fedjob-operator: {error}\n")
        return error.exit_code
    log_json(settings.log_level)
    began = time.monotonic()
    try:
        code = asyncio.run(serve(settings, os.environ))
    except FedjobError as error:
        sys.stderr.write(f"fedjob-operator: {error}\n")
        return error.exit_code
    _log.info("ended", extra={"code": code, "seconds": round(time.monotonic() - began, 1)})
    return code


if __name__ == "__main__":
    sys.exit(main())
