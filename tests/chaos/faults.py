"""The faults: what is done to a running job, and how it is undone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from chaos.nodes import (
    CLIENT_JOB,
    REGISTRY,
    SERVER_JOB,
    WORKER_NODES,
    Place,
    docker,
    eviction_of,
    renew_control_plane,
    restart_api_server,
)
from chaos.scene import JobScene


class Phase(StrEnum):
    """When a fault strikes."""

    PREPARING = "preparing"
    STARTING = "starting"
    MID_ROUND = "mid-round"
    BETWEEN = "between rounds"
    LAST = "last round"
    FINISHING = "finishing"


Undo = Callable[[], None]


class NotThereError(Exception):
    """What the fault needs is not there in this phase, such as a pod."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault.

    Attributes:
        name: As the table has it.
        strike: Does it, and returns what undoes it.
        hold: Seconds until it is undone.
        alone: It hits more than the job's own pods: no other job may run beside it.
        needs_pods: It has nothing to hit before there are pods.
        lasting: It is undone only once the job has recovered, or `hold` has passed.
        repeat: Strikes in the middle of a round; None: as many as asked for.
        least: A lasting one is not undone before so many seconds.
        arrange: What is done before each strike in the middle of a round, so that it hits one
            thing alone.
        afresh: What is done before each strike, so that it is like a first one; a phase that a job
            has once has a job of its own.
        counted: Where and as what the status counts it: a site and a cause, or `retries` and a
            kind; empty where nothing of the job's own ended.
    """

    name: str
    strike: Callable[[JobScene], Undo]
    hold: float = 0.0
    alone: bool = False
    needs_pods: bool = True
    lasting: bool = False
    repeat: int | None = None
    least: float = 0.0
    arrange: Callable[[JobScene], None] | None = None
    afresh: Callable[[JobScene], None] | None = None
    counted: tuple[str, str] = ("", "")


def nothing() -> None:
    """A fault that is over at once."""


def _server(scene: JobScene) -> Place:
    found = scene.server()
    if found is None:
        raise NotThereError("the server does not run")
    return found


def _worker(scene: JobScene) -> Place:
    found = scene.workers()
    if not found:
        raise NotThereError("no worker runs")
    return found[0]


def _delete(scene: JobScene, place: Place) -> Undo:
    scene.stage.kubectl("-n", scene.stage.jobs, "delete", "pod", place.pod, "--wait=false")
    return nothing


def _kill(place: Place) -> Undo:
    place.kill_container()
    return nothing


def _kill_job_process(place: Place, pattern: str) -> Undo:
    try:
        place.kill_processes(pattern)
    except AssertionError as error:
        raise NotThereError(str(error)) from error
    return nothing


def _evict(scene: JobScene) -> Undo:
    path, body = eviction_of(_worker(scene).pod, scene.stage.jobs)
    scene.stage.kubectl("create", "--raw", path, "-f", "-", given=body)
    return nothing


def _pause(node: str) -> Undo:
    docker("pause", node)
    return lambda: docker("unpause", node) and None


def _pause_workers_node(scene: JobScene) -> Undo:
    server = _server(scene).node
    beside = [place.node for place in scene.workers() if place.node != server]
    if not beside:
        raise NotThereError("every worker is on the server's node")
    return _pause(beside[0])


def _spread(scene: JobScene) -> None:
    """One worker beside the server, the other on the other node."""
    server = _server(scene).node
    other = next(node for node in WORKER_NODES if node != server)
    for index, wanted in enumerate((other, server)):
        site = f"{scene.name}-worker-{index}"
        away = server if wanted == other else other

        def is_there(site: str = site, wanted: str = wanted) -> bool:
            there = [p for p in scene.workers() if f"{p.pod}-".startswith(f"{site}-")]
            return [place.node for place in there] == [wanted]

        if is_there():
            continue
        scene.stage.kubectl("cordon", away)
        try:
            pods = [p.pod for p in scene.workers() if f"{p.pod}-".startswith(f"{site}-")]
            scene.stage.kubectl("-n", scene.stage.jobs, "delete", "pod", *pods, "--wait=false")
            scene.until(is_there, 120)
        finally:
            scene.stage.kubectl("uncordon", away)


def _freeze_store(scene: JobScene) -> Undo:
    store = scene.stage.store_pod()
    store.freeze()
    return store.thaw


def _restart_store(scene: JobScene) -> Undo:
    # The kubelet starts it again in the same pod: two stores on one volume would spoil it.
    scene.stage.store_pod().kill_container()
    return nothing


def _renew_store(scene: JobScene) -> None:
    """Another pod, for which the kubelet's back-off begins anew."""
    scene.stage.kubectl("-n", scene.stage.system, "rollout", "restart", "deployment/store")
    status = ("rollout", "status", "deployment/store", "--timeout=180s")
    scene.stage.kubectl("-n", scene.stage.system, *status)


def _stop_registry(_scene: JobScene) -> Undo:
    docker("stop", "-t", "0", REGISTRY)
    return lambda: docker("start", REGISTRY) and None


def _kill_operator(scene: JobScene) -> Undo:
    scene.stage.kill()
    return scene.stage.start


def _restart_api(_scene: JobScene) -> Undo:
    restart_api_server()
    return nothing


def _cut(scene: JobScene) -> Undo:
    server = _server(scene)
    beside = [place for place in scene.workers() if place.node != server.node] or scene.workers()
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
        lambda s: _kill_job_process(_server(s), SERVER_JOB),
        counted=("retries", "job"),
    ),
    Fault("worker cut off the server, 25 s", _cut, hold=25),
    Fault("S3 unreachable, 30 s", _freeze_store, hold=30, alone=True, needs_pods=False),
    Fault(
        "S3 killed and restarted",
        _restart_store,
        alone=True,
        needs_pods=False,
        afresh=_renew_store,
    ),
    Fault("registry down, 10 s", _stop_registry, hold=10, alone=True, needs_pods=False),
    Fault("operator killed, back after 3 s", _kill_operator, hold=3, alone=True, needs_pods=False),
    Fault(
        "API server restarted",
        _restart_api,
        alone=True,
        needs_pods=False,
        afresh=lambda _: renew_control_plane(),
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
        least=150,
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
"""Out of memory is apart (`chaos.memory`): it ends the run, as it should."""
