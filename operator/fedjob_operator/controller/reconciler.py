"""One reconcile of one job: observe, plan, carry out, publish. Safe to cancel and to repeat."""

from __future__ import annotations

import time
from collections.abc import Callable

from fedjob.errors import InvalidInputError
from fedjob.reasons import Reason
from fedjob.spec.models.job import FederatedJob
from fedjob.spec.validation.parse import parse_object
from fedjob_operator.controller.executor import Executor
from fedjob_operator.controller.observer import Observer
from fedjob_operator.controller.status_poller import Poller, Target
from fedjob_operator.controller.status_writer import StatusWriter
from fedjob_operator.kube.client import ApiError, Cluster
from fedjob_operator.metrics import RECONCILE_SECONDS
from fedjob_operator.naming import Body, Key
from fedjob_operator.planning.completion import known_end
from fedjob_operator.planning.job_view import JobView
from fedjob_operator.planning.plan import plan
from fedjob_operator.planning.preparation import spec_digest
from fedjob_operator.planning.status import refused_status
from fedjob_operator.planning.transfers import refused_upload, unfinished_uploads
from fedjob_operator.stages.runner import Preparer, stage_delay
from fedjob_operator.state.cache import Cache
from fedjob_operator.state.observed import Problem, Stage
from fedjob_operator.state.pod_status import PodView


class Reconciler:
    """Brings jobs to what their spec asks for.

    Args:
        cluster: The API server.
        cache: What is known about jobs.
        observer: Completes the cache before a job is planned.
        executor: Carries out plans.
        preparer: Runs stages.
        poller: Follows servers.
        statuses: Writes statuses and Events.
        forget: Called with the key of a job that is gone.
        now: Seconds since the epoch.
    """

    def __init__(
        self,
        cluster: Cluster,
        cache: Cache,
        *,
        observer: Observer,
        executor: Executor,
        preparer: Preparer,
        poller: Poller,
        statuses: StatusWriter,
        forget: Callable[[Key], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._cluster, self._cache = cluster, cache
        self._observer, self._executor, self._statuses = observer, executor, statuses
        self._preparer, self._poller = preparer, poller
        self._forget, self._now = forget, now

    async def __call__(self, key: Key) -> float | None:
        """Reconciles a job; seconds until its next reconcile, or None until an event."""
        with RECONCILE_SECONDS.time():
            return await self._reconcile(key)

    async def _reconcile(self, key: Key) -> float | None:
        body = self._cache.job(key)
        if body is None or body["metadata"].get("deletionTimestamp"):
            self._drop(key)
            return None
        uid = str(body["metadata"]["uid"])
        if not await self._observer.list_children(key, uid):
            return 0.0
        try:
            job = parse_object(body)
        except InvalidInputError as error:
            status = refused_status(body, error, self._now())
            return await self._statuses.write(key, body, status)
        if not await self._observer.observe(key, job):
            return 0.0
        view = JobView.of(job, self._cache.observe(key), self._now())
        return await self._carry_out(key, body, view)

    async def _carry_out(self, key: Key, body: Body, view: JobView) -> float | None:
        """Plans the job, carries the plan out, and publishes it."""
        uid, actions = str(view.job.metadata.uid), plan(view)
        if actions.delete_job:
            await self._cluster.delete(body)
            return None
        # Before anything is awaited: a stage that ends meanwhile must not be started once more.
        prepared = view.observations.prepared or view.record.prepared
        self._preparer.start(key, view.job, actions.stages, prepared)
        self._preparer.note_uploads(
            key,
            view.job,
            unfinished=unfinished_uploads(view),
            refused=refused_upload(view),
            ended=known_end(view.job, view.record) is not None,
        )
        try:
            await self._executor.carry_out(key, uid, actions)
        except ApiError as error:
            if error.refused and self._observer.is_still(key, uid):
                await self._publish_refusal(key, self._cache.job(key) or body, view, error)
            raise
        if not self._observer.is_still(key, uid):
            return 0.0  # deleted meanwhile
        known = self._cache.observations(key)
        if known.name_conflicts != view.observations.name_conflicts:
            return 0.0  # another owner has a name: the status must show that
        if Stage.APPLY in known.problems:
            self._cache.set_problem(key, Stage.APPLY, None)
        self._poller.follow(key, _target(actions.server))
        write_again = await self._statuses.write(key, body, actions.status)
        await self._statuses.write_events(key, body, actions)
        waits = [wait for wait in (write_again, actions.again) if wait is not None]
        if actions.changes:
            waits.append(0.0)  # look at what was just written without waiting for its event
        return min(waits, default=None)

    def _drop(self, key: Key) -> None:
        self._preparer.forget(key)
        self._poller.follow(key, None)
        self._statuses.forget(key)
        self._observer.forget(key)
        self._forget(key)

    async def _publish_refusal(self, key: Key, body: Body, view: JobView, error: ApiError) -> None:
        """Shows in the status what the cluster refuses, before the queue backs off."""
        last = view.observations.problems.get(Stage.APPLY)
        problem = _refusal(view.job, last, error, self._now())
        self._cache.set_problem(key, Stage.APPLY, problem)
        status = plan(view.with_problem(Stage.APPLY, problem)).status
        await self._statuses.write(key, body, status)


def _refusal(job: FederatedJob, last: Problem | None, error: ApiError, now: float) -> Problem:
    tries = last.tries + 1 if last is not None else 1
    return Problem(
        reason=Reason.ADMISSION_REFUSED,
        message=f"{error.detail}; allow it, and the job continues by itself",
        retry_at=now + stage_delay(tries),
        tries=tries,
        made_from=spec_digest(job),
    )


def _target(pod: PodView | None) -> Target | None:
    """The server to follow; None unless its pod runs and has an address."""
    if pod is None or pod.phase != "Running" or not pod.ip:
        return None
    return Target(uid=pod.uid, name=pod.name, ip=pod.ip)
