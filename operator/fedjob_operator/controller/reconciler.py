"""One reconcile of one job: observe, plan, apply. Safe to break off anywhere, and to repeat."""

from __future__ import annotations

import time
from collections.abc import Callable

from fedjob.errors import InvalidInputError
from fedjob.reasons import Reason
from fedjob.spec.models.job import API_VERSION, KIND, FederatedJob
from fedjob.spec.validation.parse import parse_object
from fedjob_operator.controller.executor import carry_out
from fedjob_operator.controller.resync import look_for_overdue
from fedjob_operator.controller.status_poller import Poller, Target
from fedjob_operator.kube.client import ApiError, Cluster
from fedjob_operator.kube.event_recorder import EventWriter
from fedjob_operator.metrics import RECONCILE_SECONDS, STATUS_WRITES
from fedjob_operator.naming import Body, Key
from fedjob_operator.planning.backoff import stage_delay
from fedjob_operator.planning.event_rules import changes, forwarded
from fedjob_operator.planning.plan import plan
from fedjob_operator.planning.pod_lifecycle import is_overdue
from fedjob_operator.planning.preparation import spec_digest
from fedjob_operator.planning.refused import refused_status
from fedjob_operator.planning.scene import Scene
from fedjob_operator.planning.status import worth_writing
from fedjob_operator.resources.pods import GPU
from fedjob_operator.stages.runner import Preparer
from fedjob_operator.state.actions import Actions
from fedjob_operator.state.cache import Cache
from fedjob_operator.state.observed import Problem, Stage
from fedjob_operator.state.pod_status import view_pod

GPU_SECONDS = 60.0
"""How long a count of the nodes' GPUs holds."""


class Reconciler:
    """Drives jobs to what their spec asks for.

    Args:
        cluster: The API server.
        world: What has been seen.
        preparer: Runs stages.
        poller: Follows servers.
        events: Writes Events.
        forget: Called with the key of a job that is gone.
    """

    def __init__(
        self,
        cluster: Cluster,
        world: Cache,
        preparer: Preparer,
        poller: Poller,
        events: EventWriter,
        forget: Callable[[Key], None],
    ) -> None:
        self._cluster, self._world = cluster, world
        self._preparer, self._poller, self._events = preparer, poller, events
        self._forget = forget
        self._written: dict[Key, float] = {}
        self._heard: dict[Key, float] = {}
        self._overdue: dict[Key, frozenset[str]] = {}
        self._gpus: tuple[float, int | None] = (0.0, None)

    async def __call__(self, key: Key) -> float | None:
        """Reconciles a job; seconds until it wants to be looked at again, or None."""
        began = time.monotonic()
        try:
            return await self._reconcile(key)
        finally:
            RECONCILE_SECONDS.observe(time.monotonic() - began)

    async def _reconcile(self, key: Key) -> float | None:
        body = self._world.job(key)
        if body is None or body["metadata"].get("deletionTimestamp"):
            self._leave(key)
            return None
        uid = str(body["metadata"]["uid"])
        if not self._world.is_listed(uid):
            children = await self._cluster.children(*key)
            if not self._is_still(key, uid):
                return 0.0
            self._world.list_children(key, uid, children)
        try:
            job = parse_object(body)
        except InvalidInputError as error:
            status = refused_status(body, error, time.time())
            return await self._write_status(key, body, status)
        if job.spec.workers.gpu:
            gpus = await self._count_gpus()
            if not self._is_still(key, uid):
                return 0.0
            self._world.learn(key, gpus=gpus)
        if not await self._know_overdue(key, uid):
            return 0.0
        observed = self._world.observe(key)
        actions = plan(job, observed, time.time())
        if actions.delete_job:
            await self._cluster.delete(body)
            return None
        # Before anything is awaited: a stage that ends meanwhile must not be started once more.
        before = Scene.of(job, observed, time.time()).record
        prepared = observed.facts.prepared or before.prepared
        self._preparer.start(key, job, actions.stages, prepared)
        try:
            await carry_out(self._cluster, self._world, key, uid, actions)
        except ApiError as error:
            if error.refused and self._is_still(key, uid):
                await self._tell_refusal(key, job, error)
            raise
        if not self._is_still(key, uid):
            return 0.0  # deleted meanwhile: looked at anew, as what it is by now
        if self._world.facts(key).held != observed.facts.held:
            return 0.0  # a name is taken: the status is made from that
        if Stage.APPLY in self._world.facts(key).problems:
            self._world.trouble(key, Stage.APPLY, None)
        self._follow_server(key, Scene.of(job, self._world.observe(key), time.time()))
        again = await self._write_status(key, body, actions.status)
        await self._tell(key, body, actions)
        waits = [wait for wait in (again, actions.again) if wait is not None]
        if actions.changes:
            waits.append(0.0)  # what was just made is looked at, without waiting for its event
        return min(waits, default=None)

    def _is_still(self, key: Key, uid: str) -> bool:
        """Whether the job was not deleted while something was awaited."""
        body = self._world.job(key)
        return body is not None and str(body["metadata"]["uid"]) == uid

    async def _know_overdue(self, key: Key, uid: str) -> bool:
        """Asks once for each pod that should have gone; whether the job is still the same."""
        pods = {
            str(body["metadata"]["uid"]): body
            for (kind, _), body in self._world.observe(key).children.items()
            if kind == "Pod"
            and body["metadata"].get("deletionTimestamp")
            and is_overdue(view_pod(body), time.time())
        }
        known = self._overdue.get(key, frozenset())
        if pods.keys() - known:
            await look_for_overdue(
                self._cluster, self._world, [b for u, b in pods.items() if u not in known]
            )
        self._overdue[key] = frozenset(pods)
        return self._is_still(key, uid)

    def _leave(self, key: Key) -> None:
        self._preparer.forget(key)
        self._poller.follow(key, None)
        self._written.pop(key, None)
        self._heard.pop(key, None)
        self._overdue.pop(key, None)
        self._forget(key)

    def _follow_server(self, key: Key, scene: Scene) -> None:
        pod = scene.kept(scene.record)[0].pod
        running = pod is not None and pod.phase == "Running" and pod.ip
        target = Target(pod.uid, pod.name, pod.ip) if pod is not None and running else None
        self._poller.follow(key, target)

    async def _write_status(self, key: Key, body: Body, status: Body | None) -> float | None:
        """Writes a status where it differs; seconds until it should be, where it waits."""
        if status is None:
            return None
        before = body.get("status") or {}
        now = time.monotonic()
        wait = worth_writing(before, status, now - self._written.get(key, 0.0))
        if wait is None or wait > 0:
            return wait
        try:
            answer = await self._cluster.apply_status(body, status)
        except ApiError as error:
            if error.code in (404, 409):
                await self._look_again(key, body)
            raise
        self._written[key] = now
        STATUS_WRITES.inc()
        self._world.saw_job(answer)
        for news in changes(before, status):
            await self._events.write(body, news)
        return None

    async def _look_again(self, key: Key, body: Body) -> None:
        """Reads a job that is not as it was seen: its event is late, or lost."""
        found = await self._cluster.get(API_VERSION, KIND, *key)
        if found is None or found["metadata"]["uid"] != body["metadata"]["uid"]:
            self._world.saw_job(body, deleted=True)
        if found is not None:
            self._world.saw_job(found)

    async def _tell(self, key: Key, body: Body, actions: Actions) -> None:
        for news in actions.news:
            await self._events.write(body, news)
        server = self._world.facts(key).server
        if server is not None:
            heard = self._heard.get(key, 0.0)
            for moment, news in forwarded(server.status, heard):
                self._heard[key] = max(self._heard.get(key, 0.0), moment)
                await self._events.write(body, news)

    async def _tell_refusal(self, key: Key, job: FederatedJob, error: ApiError) -> None:
        """Shows in the status what the cluster refuses, before the queue's backoff."""
        before = self._world.facts(key).problems.get(Stage.APPLY)
        tries = before.tries + 1 if before is not None else 1
        message = f"{error.detail}; allow it, and the job goes on by itself"
        retry_at = time.time() + stage_delay(tries)
        problem = Problem(Reason.ADMISSION_REFUSED, message, retry_at, tries, spec_digest(job))
        self._world.trouble(key, Stage.APPLY, problem)
        body = self._world.job(key)
        if body is not None:
            actions = plan(job, self._world.observe(key), time.time())
            await self._write_status(key, body, actions.status)

    async def _count_gpus(self) -> int | None:
        """The most GPUs that any node offers; None where we may not list nodes."""
        counted, found = self._gpus
        if counted and time.monotonic() - counted < GPU_SECONDS:
            return found
        try:
            nodes = await self._cluster.list_all("v1", "Node")
        except ApiError as error:
            if error.code != 403:
                raise
            found = None
        else:
            found = max((gpus_of(node) for node in nodes), default=0)
        self._gpus = (time.monotonic(), found)
        return found


def gpus_of(node: Body) -> int:
    """GPUs that a node offers to pods; none where it takes no pods."""
    if (node.get("spec") or {}).get("unschedulable"):
        return 0
    text = str(((node.get("status") or {}).get("allocatable") or {}).get(GPU, "0"))
    return int(text) if text.isdigit() else 0
