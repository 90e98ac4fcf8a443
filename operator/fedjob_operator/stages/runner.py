"""Runs the stages of all jobs in the background, and records their results and problems."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from fedjob.backoff import Backoff
from fedjob.errors import FedjobError
from fedjob.protocol.server_status import RunPhase
from fedjob.protocol.transfer import Tunnel, expected_files
from fedjob.reasons import Reason
from fedjob.spec.models.job import FederatedJob
from fedjob.storage.owner import Owner
from fedjob_operator.kube.built_images import ImageRecord
from fedjob_operator.kube.client import Cluster
from fedjob_operator.metrics import STAGES
from fedjob_operator.naming import Key, record_name
from fedjob_operator.planning.preparation import inputs_digest, spec_digest
from fedjob_operator.planning.transfers import results_ask, upload_ask
from fedjob_operator.settings import Settings
from fedjob_operator.stage_run import run_blocking
from fedjob_operator.stages.image import build_image
from fedjob_operator.stages.inputs import Inputs, read_inputs
from fedjob_operator.stages.job_store import JobStore, open_store
from fedjob_operator.stages.lanes import DEADLINES, Lanes, StagesHealth
from fedjob_operator.stages.ownership import MayAct, owner_of
from fedjob_operator.stages.presigned_urls import KeptRounds, sign_urls
from fedjob_operator.stages.results import ResultsJob, offer_results
from fedjob_operator.stages.round_log import keep_history, read_log
from fedjob_operator.stages.startup_kits import make_kits
from fedjob_operator.stages.uploads import (
    SHARE,
    UploadJob,
    UploadLimits,
    abort_uploads,
    look_at_uploads,
    remove_refused,
)
from fedjob_operator.stages.workspace import upload_workspace
from fedjob_operator.state.cache import Cache
from fedjob_operator.state.observed import Defaults, Kits, Problem, Stage
from fedjob_operator.state.record import Prepared, read_record

MOST_ABORTS = 16
"""Deleted jobs of one namespace whose unfinished uploads wait to be removed; they are left in the
store where there are more."""
STAGE_BACKOFF = Backoff(first=2.0, longest=60.0)
"""Delays between attempts of a stage that fails."""

_log = logging.getLogger("fedjob.prepare")


def stage_delay(tries: int) -> float:
    """Seconds before a stage that failed `tries` times in a row is tried again."""
    return STAGE_BACKOFF.delay(tries)


class Preparer:
    """Runs stages: at most one run per stage and job at a time.

    Args:
        cluster: Reads what jobs refer to.
        settings: The operator's settings.
        defaults: The operator's defaults for jobs.
        cache: Gets results and problems.
        wake: Requests a reconcile of a job.
        deadlines: Seconds that each stage may take.
    """

    def __init__(
        self,
        cluster: Cluster,
        settings: Settings,
        defaults: Defaults,
        cache: Cache,
        wake: Callable[[Key], None],
        *,
        deadlines: Mapping[Stage, float] = DEADLINES,
    ) -> None:
        self._cluster, self._settings, self._defaults = cluster, settings, defaults
        self._cache, self._wake = cache, wake
        self._images = ImageRecord(cluster, settings.namespace)
        self._tasks: dict[tuple[Key, Stage], asyncio.Task[None]] = {}
        self._inputs: dict[Key, Inputs] = {}
        self._reading: dict[Key, asyncio.Lock] = {}
        self._lanes = Lanes(deadlines)
        self._uploading: dict[Key, FederatedJob] = {}
        self._refused: set[Key] = set()
        self._tidied: dict[Key, str] = {}
        self._aborts: dict[asyncio.Task[None], Key] = {}

    def start(
        self, key: Key, job: FederatedJob, stages: Iterable[Stage], prepared: Prepared | None
    ) -> None:
        """Starts the stages that do not run yet.

        Args:
            key: The job's key.
            job: The job.
            stages: The stages that the plan requests.
            prepared: The results so far.
        """
        for stage in sorted(stages):
            if (key, stage) not in self._tasks:
                task = asyncio.create_task(self._run(key, job, stage, prepared))
                self._tasks[key, stage] = task
                task.add_done_callback(partial(self._ended, (key, stage)))

    def _ended(self, at: tuple[Key, Stage], _: asyncio.Task[None]) -> None:
        del self._tasks[at]

    def note_uploads(
        self, key: Key, job: FederatedJob, *, unfinished: bool, refused: bool, ended: bool
    ) -> None:
        """Notes what a job's client leaves in the store; it is removed when the job ends or goes.

        Args:
            key: The job's key.
            job: The job.
            unfinished: Whether there may be parts of files that have not arrived.
            refused: Whether a worker has found other bytes than were announced.
            ended: Whether the run has ended: nobody sends files any more.
        """
        if not unfinished and not refused:
            return
        self._uploading[key] = job
        if refused:
            self._refused.add(key)  # a worker that waits must not find its shard gone
        elif ended and self._tidied.get(key) != job.metadata.uid:
            self._tidied[key] = str(job.metadata.uid)
            self._tidy(key, job)

    def forget(self, key: Key) -> None:
        """Ends all stages of a job that was deleted, with their threads."""
        for (other, _), task in list(self._tasks.items()):
            if other == key:
                task.cancel()
        self._inputs.pop(key, None)
        self._reading.pop(key, None)
        self._tidied.pop(key, None)
        unfinished = self._uploading.pop(key, None)
        if unfinished is not None:
            self._tidy(key, unfinished)

    def _tidy(self, key: Key, job: FederatedJob) -> None:
        if sum(other[0] == key[0] for other in self._aborts.values()) >= MOST_ABORTS:
            _log.warning(
                "unfinished uploads are left: too many jobs of the namespace were deleted; the "
                "bucket's rule for incomplete uploads removes them",
                extra={"job": "/".join(key)},
            )
            return
        task = asyncio.create_task(self._abort_uploads(key, job))
        self._aborts[task] = key
        task.add_done_callback(self._aborts.pop)

    async def close(self) -> None:
        """Cancels all stages."""
        tasks = [*self._tasks.values(), *self._aborts]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def health(self) -> StagesHealth:
        """Whether stages end when their time is up, for /healthz."""
        return self._lanes.health()

    async def _run(
        self, key: Key, job: FederatedJob, stage: Stage, prepared: Prepared | None
    ) -> None:
        problem: Problem | None = None
        try:
            await self._lanes.run(key, stage, lambda: self._step(stage)(key, job, prepared))
        except FedjobError as error:
            problem = self._problem(key, job, stage, error.reason, str(error))
            _log.warning(
                str(error), extra={"job": "/".join(key), "stage": stage, "reason": problem.reason}
            )
        except Exception as error:  # noqa: BLE001 (a bug in one stage must reach the job's status)
            _log.exception("bug", extra={"job": "/".join(key), "stage": stage})
            message = f"{stage}: {error!r}; read the operator's log, and report it"
            problem = self._problem(key, job, stage, Reason.INTERNAL_ERROR, message)
        STAGES.labels(stage, "ok" if problem is None else "error").inc()
        body = self._cache.job(key)
        if body is not None and body["metadata"]["uid"] == job.metadata.uid:
            self._cache.set_problem(key, stage, problem)
            self._wake(key)

    def _problem(
        self, key: Key, job: FederatedJob, stage: Stage, reason: Reason, message: str
    ) -> Problem:
        before = self._cache.observations(key).problems.get(stage)
        made_from = spec_digest(job)
        tries = before.tries + 1 if before is not None and before.made_from == made_from else 1
        return Problem(reason, message, time.time() + stage_delay(tries), tries, made_from)

    def _step(
        self, stage: Stage
    ) -> Callable[[Key, FederatedJob, Prepared | None], Coroutine[Any, Any, None]]:
        return {
            Stage.UPLOADS: self._look_at_uploads,
            Stage.INPUTS: self._read,
            Stage.WORKSPACE: self._upload,
            Stage.IMAGE: self._build,
            Stage.KITS: self._kits,
            Stage.URLS: self._urls,
            Stage.LOG: self._log_of_rounds,
            Stage.RESULTS: self._offer_results,
        }[stage]

    async def _store(self, job: FederatedJob) -> JobStore:
        external = self._settings.store_external_endpoint
        return await open_store(self._cluster, job, self._defaults, external)

    async def _inputs_of(self, key: Key, job: FederatedJob, *, reread: bool = False) -> Inputs:
        async with self._reading.setdefault(key, asyncio.Lock()):
            known = self._inputs.get(key)
            same = known is not None and known.prepared.made_from == inputs_digest(job)
            if known is not None and same and not reread:
                return known
            store = await self._store(job)
            inputs = await read_inputs(
                self._cluster, job, store, partial(self._lanes.inspecting, key)
            )
            self._inputs[key] = inputs
            return inputs

    def _merge(self, key: Key, job: FederatedJob, prepared: Prepared | None, **found: Any) -> None:
        current = self._cache.observations(key).prepared
        digest = inputs_digest(job)
        base = next(
            (p for p in (current, prepared) if p is not None and p.made_from == digest), None
        )
        if base is not None:
            self._cache.learn(key, prepared=base.model_copy(update=found))

    async def _read(self, key: Key, job: FederatedJob, _: Prepared | None) -> None:
        inputs = await self._inputs_of(key, job, reread=True)
        self._cache.learn(key, prepared=inputs.prepared)

    async def _upload(self, key: Key, job: FederatedJob, prepared: Prepared | None) -> None:
        inputs = await self._inputs_of(key, job)
        store, may_act = await self._store(job), self._may_act(key, "the job folder")
        checksum = await run_blocking(
            upload_workspace, store, self._owner(job), inputs.files, inputs.copies, may_act
        )
        self._merge(key, job, prepared, workspace=checksum)

    async def _build(self, key: Key, job: FederatedJob, prepared: Prepared | None) -> None:
        inputs = await self._inputs_of(key, job)
        image = await build_image(self._cluster, job, inputs.files, self._settings, self._images)
        self._merge(key, job, prepared, image=image)
        self._cache.learn(key, image_checked=time.time())
        self._inputs.pop(key, None)  # not needed any more: the job folder is in S3 and in the image

    async def _kits(self, key: Key, job: FederatedJob, prepared: Prepared | None) -> None:
        if prepared is not None:
            self._cache.learn(key, kits=await self._make_kits(job, len(prepared.workers)))

    async def _make_kits(self, job: FederatedJob, workers: int) -> Kits:
        return await make_kits(job, workers, self._settings.kits_folder)

    async def _urls(self, key: Key, job: FederatedJob, prepared: Prepared | None) -> None:
        if prepared is not None:
            store = await self._store(job)
            seconds = self._settings.url_seconds
            record = read_record(
                self._cache.observe(key).children.get(("ConfigMap", record_name(key[1])))
            )
            ordinals = {name: slot.ordinal for name, slot in record.workers.items()}
            urls = await run_blocking(
                sign_urls,
                store,
                prepared.workers,
                time.time(),
                seconds,
                ordinals=ordinals,
                kept=self._kept_rounds(key, job),
            )
            self._cache.learn(key, urls=urls)

    def _kept_rounds(self, key: Key, job: FederatedJob) -> KeptRounds | None:
        keep = job.spec.workers.keep_files
        if keep is None:
            return None
        server = self._cache.observations(key).server
        completed = server.status.completed if server is not None else 0
        return KeptRounds(completed, job.spec.federation.num_rounds, keep.max_bytes)

    async def _log_of_rounds(self, key: Key, job: FederatedJob, _: Prepared | None) -> None:
        store = await self._store(job)
        status = await run_blocking(read_log, job, store)
        if status.phase is not RunPhase.COMPLETE:
            await run_blocking(
                keep_history, self._owner(job), store, self._may_act(key, "the history")
            )
        self._cache.learn(key, log_status=status)

    def _owner(self, job: FederatedJob) -> Owner:
        return owner_of(job, self._settings.cluster_id)

    def _may_act(self, key: Key, what: str) -> MayAct:
        return lambda: self._cluster.may_act(f"{what} of {'/'.join(key)}")

    async def _look_at_uploads(self, key: Key, job: FederatedJob, _: Prepared | None) -> None:
        self._uploading[key] = job
        store, settings = await self._store(job), self._settings
        limits = UploadLimits(
            file_bytes=settings.upload_max_file_bytes,
            total_bytes=settings.upload_max_bytes,
            days=settings.upload_days,
            url_seconds=settings.url_seconds,
        )
        upload = UploadJob(
            owner=self._owner(job),
            files=expected_files(job.spec),
            ask=upload_ask(job),
            tunnel=self._tunnel(store),
        )
        before, began = self._cache.observations(key).uploads, time.monotonic()
        found = await run_blocking(
            look_at_uploads,
            store,
            upload,
            limits,
            signing=store.for_clients(settings.store_client_endpoint),
            may_act=self._may_act(key, "the uploads"),
            before=before,
            now=time.time(),
        )
        spent = SHARE * (time.monotonic() - began)
        self._cache.learn(key, uploads=replace(found, interval=max(found.interval, spent)))
        if found.complete:
            self._uploading.pop(key, None)

    async def _abort_uploads(self, key: Key, job: FederatedJob) -> None:
        """Removes what no job can use: it would be paid for ever, or stand for another file."""
        refused = key in self._refused
        self._refused.discard(key)

        async def abort() -> None:
            store, may_act = await self._store(job), self._may_act(key, "the uploads")
            await run_blocking(abort_uploads, store, self._owner(job), may_act)
            files = expected_files(job.spec) if refused else []
            removed = await run_blocking(remove_refused, store, files, may_act)
            if removed:
                text = f"removed, with other bytes than announced: {', '.join(removed)}"
                _log.warning(text, extra={"job": "/".join(key)})

        try:
            await self._lanes.run(key, Stage.UPLOADS, abort)
        except FedjobError as error:
            _log.warning(f"unfinished uploads are left: {error}", extra={"job": "/".join(key)})

    async def _offer_results(self, key: Key, job: FederatedJob, _: Prepared | None) -> None:
        store, settings = await self._store(job), self._settings
        results = ResultsJob(
            owner=self._owner(job),
            ask=results_ask(job),
            url_seconds=settings.url_seconds,
            tunnel=self._tunnel(store),
        )
        signing = store.for_clients(settings.store_client_endpoint)
        found = await run_blocking(offer_results, store, signing, results, time.time())
        self._cache.learn(key, results=found)

    def _tunnel(self, store: JobStore) -> Tunnel | None:
        """Only the operator's own store is behind the tunnel."""
        return self._settings.tunnel() if store.default else None
