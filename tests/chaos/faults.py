"""The faults: how each is injected into a running job, and how it is undone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from chaos.nodes import (
    AGENT,
    CLIENT_JOB,
    NVFLARE_SERVER,
    REGISTRY,
    SERVER_JOB,
    WORKER_NODES,
    PodPlacement,
    docker,
    eviction_of,
    renew_control_plane,
    restart_api_server,
)
from chaos.running_job import RunningJob


class Phase(StrEnum):
    """The phase of the job in which a fault strikes."""

    PREPARING = "preparing"
    STARTING = "starting"
    MID_ROUND = "mid-round"
    BETWEEN = "between rounds"
    LAST = "last round"
    FINISHING = "finishing"


Undo = Callable[[], None]


class NotThereError(Exception):
    """The fault cannot be injected in this phase, for example because a pod is missing."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault.

    Attributes:
        name: Row label in the table.
        strike: Injects the fault, and returns a function that undoes it.
        hold: Seconds until the fault is undone.
        alone: The fault hits more than the job's own pods, so no other job may run in parallel.
        needs_pods: The fault cannot be injected before the job has pods.
        lasting: The fault is undone only once the job has recovered, or after `hold`.
        repeat: Number of strikes in the middle of a round; None: the command line's `--repeat`.
        min_hold: Minimum seconds before a lasting fault is undone.
        arrange: Runs before each strike in the middle of a round, so that it hits only one thing.
        reset: Runs before each strike, so that it acts like the first one; phases that occur once
            per job each get their own job.
        counted: How the status counts the fault: (site, cause), or ("retries", kind); empty if
            none of the job's own processes ends.
    """

    name: str
    strike: Callable[[RunningJob], Undo]
    hold: float = 0.0
    alone: bool = False
    needs_pods: bool = True
    lasting: bool = False
    repeat: int | None = None
    min_hold: float = 0.0
    arrange: Callable[[RunningJob], None] | None = None
    reset: Callable[[RunningJob], None] | None = None
    counted: tuple[str, str] = ("", "")


def nothing() -> None:
    """The undo function of a fault that ends immediately."""


def _server(job: RunningJob) -> PodPlacement:
    found = job.server()
    if found is None:
        raise NotThereError("the server does not run")
    return found


def _federation(job: RunningJob) -> PodPlacement:
    found = job.federation()
    if found is None:
        raise NotThereError("NVFlare's server does not run")
    return found


def _worker(job: RunningJob) -> PodPlacement:
    found = job.workers()
    if not found:
        raise NotThereError("no worker runs")
    return found[0]


def _delete(job: RunningJob, place: PodPlacement) -> Undo:
    job.deployment.kubectl("-n", job.deployment.jobs, "delete", "pod", place.pod, "--wait=false")
    return nothing


def _kill(place: PodPlacement) -> Undo:
    place.kill_container()
    return nothing


def _kill_job_process(place: PodPlacement, pattern: str) -> Undo:
    try:
        place.kill_processes(pattern)
    except AssertionError as error:
        raise NotThereError(str(error)) from error
    return nothing


def _evict(job: RunningJob) -> Undo:
    path, body = eviction_of(_worker(job).pod, job.deployment.jobs)
    job.deployment.kubectl("create", "--raw", path, "-f", "-", given=body)
    return nothing


def _pause(node: str) -> Undo:
    docker("pause", node)
    return lambda: docker("unpause", node) and None


def _pause_workers_node(job: RunningJob) -> Undo:
    server = _server(job).node
    beside = [place.node for place in job.workers() if place.node != server]
    if not beside:
        raise NotThereError("every worker is on the server's node")
    return _pause(beside[0])


def _spread(job: RunningJob) -> None:
    """Moves one worker to the server's node and the other to the other node."""
    server = _server(job).node
    other = next(node for node in WORKER_NODES if node != server)
    for index, wanted in enumerate((other, server)):
        site = f"{job.name}-worker-{index}"
        away = server if wanted == other else other

        def is_there(site: str = site, wanted: str = wanted) -> bool:
            there = [p for p in job.workers() if f"{p.pod}-".startswith(f"{site}-")]
            return [place.node for place in there] == [wanted]

        if is_there():
            continue
        job.deployment.kubectl("cordon", away)
        try:
            pods = [p.pod for p in job.workers() if f"{p.pod}-".startswith(f"{site}-")]
            job.deployment.kubectl(
                "-n", job.deployment.jobs, "delete", "pod", *pods, "--wait=false"
            )
            job.until(is_there, 120)
        finally:
            job.deployment.kubectl("uncordon", away)


def _freeze_store(job: RunningJob) -> Undo:
    store = job.deployment.store_pod()
    store.freeze()
    return store.thaw


def _restart_store(job: RunningJob) -> Undo:
    # The container, not the pod: two stores on one volume would corrupt it.
    job.deployment.store_pod().kill_container()
    return nothing


def _replace_store(job: RunningJob) -> None:
    """Replaces the store's pod, which resets the kubelet's restart backoff."""
    job.deployment.kubectl("-n", job.deployment.system, "rollout", "restart", "deployment/store")
    status = ("rollout", "status", "deployment/store", "--timeout=180s")
    job.deployment.kubectl("-n", job.deployment.system, *status)


def _stop_registry(_scene: RunningJob) -> Undo:
    docker("stop", "-t", "0", REGISTRY)
    return lambda: docker("start", REGISTRY) and None


def _kill_operator(job: RunningJob) -> Undo:
    job.deployment.kill()
    return job.deployment.start


def _restart_api(_scene: RunningJob) -> Undo:
    restart_api_server()
    return nothing


def _cut(job: RunningJob) -> Undo:
    server = _server(job)
    beside = [place for place in job.workers() if place.node != server.node] or job.workers()
    if not beside:
        raise NotThereError("no worker runs")
    beside[0].cut_off(server.ip)
    return lambda: beside[0].join(server.ip)


FAULTS = (
    Fault("worker pod deleted", lambda s: _delete(s, _worker(s)), counted=("worker", "Deleted")),
    Fault("worker container killed", lambda s: _kill(_worker(s)), counted=("worker", "Killed")),
    Fault(
        "worker's job process killed",
        lambda s: _kill_job_process(_worker(s), CLIENT_JOB),
        counted=("retries", "job-process"),
    ),
    Fault("worker evicted", _evict, counted=("worker", "Evicted")),
    Fault("server pod deleted", lambda s: _delete(s, _server(s)), counted=("server", "Deleted")),
    Fault("server container killed", lambda s: _kill(_server(s)), counted=("server", "Killed")),
    Fault(
        "server's job process killed",
        lambda s: _kill_job_process(_federation(s), SERVER_JOB),
        counted=("retries", "job"),
    ),
    Fault(
        "federation container killed",
        lambda s: _kill(_federation(s)),
        counted=("server", "Killed"),
    ),
    Fault(
        "server's agent killed",
        lambda s: _kill_job_process(_federation(s), AGENT),
        counted=("server", "Killed"),
    ),
    Fault(
        "NVFlare's server killed",
        lambda s: _kill_job_process(_federation(s), NVFLARE_SERVER),
        counted=("retries", "parent"),
    ),
    Fault("worker cut off the server, 25 s", _cut, hold=25),
    Fault("S3 unreachable, 30 s", _freeze_store, hold=30, alone=True, needs_pods=False),
    Fault(
        "S3 killed and restarted",
        _restart_store,
        alone=True,
        needs_pods=False,
        reset=_replace_store,
    ),
    Fault("registry down, 10 s", _stop_registry, hold=10, alone=True, needs_pods=False),
    Fault("operator killed, back after 3 s", _kill_operator, hold=3, alone=True, needs_pods=False),
    Fault(
        "API server restarted",
        _restart_api,
        alone=True,
        needs_pods=False,
        reset=lambda _: renew_control_plane(),
    ),
    Fault(
        "worker's node paused",
        _pause_workers_node,
        hold=240,
        alone=True,
        lasting=True,
        arrange=_spread,
    ),
    Fault(
        "worker's node paused, 150 s",
        _pause_workers_node,
        arrange=_spread,
        hold=240,
        alone=True,
        lasting=True,
        min_hold=150,
        repeat=5,
        counted=("worker", "NodeLost"),
    ),
    Fault(
        "server's node paused",
        lambda s: _pause(_server(s).node),
        hold=240,
        alone=True,
        lasting=True,
        counted=("server", "NodeLost"),
    ),
    Fault(
        "server's node paused, 60 s",
        lambda s: _pause(_server(s).node),
        arrange=_spread,
        hold=60,
        alone=True,
        repeat=5,
    ),
)
"""Out of memory is in `chaos.out_of_memory`, since it ends the run."""
