"""Running stages: once at a time, with their results and problems in the cache."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from fedjob.protocol.transfer import (
    KEY_ANNOTATION,
    RESULTS_ANNOTATION,
    WHOLE,
    expected_files,
)
from fedjob.reasons import Reason
from fedjob.spec.models.job import FederatedJob
from fedjob_operator.resources.configmaps import record_map
from fedjob_operator.settings import read_settings
from fedjob_operator.stages import runner
from fedjob_operator.stages.errors import StageError
from fedjob_operator.stages.lanes import PARALLEL, Lanes
from fedjob_operator.stages.runner import MOST_ABORTS, Preparer, stage_delay
from fedjob_operator.stages.uploads import LEAST_SECONDS
from fedjob_operator.state.cache import Cache
from fedjob_operator.state.observed import Kits, Problem, Stage
from fedjob_operator.state.record import PodSlot, Prepared, Record, ShardPlace
from support.operator.samples import DEFAULTS, UID, a_job
from support.operator.upload_store import PUBLIC, ROOT, UploadStore
from support.s3_client import refusal

KEY = ("team", "digits")
JOB = a_job()
PREPARED = Prepared(made_from="inputs", num_classes=2, workers=[])
Kit = Callable[[FederatedJob, int, str], Awaitable[Kits]]


class Running:
    """A preparer with the job in its cache; `woken` counts requested reconciles."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, make_kits: Kit) -> None:
        self.cache = Cache(DEFAULTS)
        self.woken = 0
        self.see(UID)
        monkeypatch.setattr(runner, "make_kits", make_kits)
        cluster: Any = None
        settings = read_settings({"FEDJOB_NAMESPACE": "fedjob-system"})
        self.preparer = Preparer(cluster, settings, DEFAULTS, self.cache, self._wake)

    def see(self, uid: str) -> None:
        meta = {"namespace": "team", "name": "digits", "uid": uid, "resourceVersion": "1"}
        self.cache.saw_job({"metadata": meta, "spec": {}})

    def _wake(self, key: tuple[str, str]) -> None:
        assert key == KEY
        self.woken += 1

    def start(self) -> None:
        self.preparer.start(KEY, JOB, [Stage.KITS], PREPARED)

    async def finish(self) -> None:
        await asyncio.gather(*self.preparer._tasks.values(), return_exceptions=True)
        await asyncio.sleep(0)

    def problem(self) -> Problem | None:
        return self.cache.observations(KEY).problems.get(Stage.KITS)


def test_result_is_learned_and_the_job_woken(monkeypatch: pytest.MonkeyPatch) -> None:
    async def make(_job: FederatedJob, _workers: int, _folder: str) -> Kits:
        return Kits(name="set", files={})

    async def run() -> None:
        running = Running(monkeypatch, make)
        running.start()
        await running.finish()
        kits = running.cache.observations(KEY).kits
        assert kits is not None
        assert kits.name == "set"
        assert running.woken == 1

    asyncio.run(run())


def test_stage_of_a_job_runs_once_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0

    async def run() -> None:
        release = asyncio.Event()

        async def make(_job: FederatedJob, _workers: int, _folder: str) -> Kits:
            nonlocal calls
            calls += 1
            await release.wait()
            return Kits(name="set", files={})

        running = Running(monkeypatch, make)
        running.start()
        running.start()
        await asyncio.sleep(0.01)
        release.set()
        await running.finish()

    asyncio.run(run())
    assert calls == 1


@pytest.mark.parametrize(
    ("error", "reason", "message"),
    [
        (StageError(Reason.NO_SPACE, "disk full; free some"), Reason.NO_SPACE, "disk full"),
        (ValueError("x"), Reason.INTERNAL_ERROR, "report it"),
    ],
    ids=["expected", "bug"],
)
def test_failure_becomes_a_problem_with_a_growing_delay(
    monkeypatch: pytest.MonkeyPatch, error: Exception, reason: Reason, message: str
) -> None:
    async def make(_job: FederatedJob, _workers: int, _folder: str) -> Kits:
        raise error

    async def run() -> None:
        running = Running(monkeypatch, make)
        for tries in (1, 2):
            running.start()
            await running.finish()
            problem = running.problem()
            assert problem is not None
            assert (problem.reason, problem.tries) == (reason, tries)
            assert message in problem.message
        assert running.woken == 2

    asyncio.run(run())
    assert stage_delay(1) < stage_delay(2) < stage_delay(10) <= 60


def test_success_clears_the_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    fails = True

    async def make(_job: FederatedJob, _workers: int, _folder: str) -> Kits:
        if fails:
            raise StageError(Reason.NO_SPACE, "disk full")
        return Kits(name="set", files={})

    async def run() -> None:
        nonlocal fails
        running = Running(monkeypatch, make)
        running.start()
        await running.finish()
        assert running.problem() is not None
        fails = False
        running.start()
        await running.finish()
        assert running.problem() is None

    asyncio.run(run())


class Uploading(Running):
    """A preparer whose store is in memory, with a job that is uploaded to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def no_kits(_job: FederatedJob, _workers: int, _folder: str) -> Kits:
            return Kits(name="set", files={})

        super().__init__(monkeypatch, no_kits)
        self.store = UploadStore(monkeypatch.setattr)

        async def opened(*_: Any) -> UploadStore:
            return self.store

        monkeypatch.setattr(runner, "open_store", opened)
        monkeypatch.setattr(self.preparer, "_may_act", lambda *_: lambda: None)
        files = [{"name": "a.zip", "sha256": "0" * 64, "size": 2 * WHOLE}]
        self.job = a_job(shards={"upload": {"files": files}})

    def look(self) -> None:
        self.preparer.start(KEY, self.job, [Stage.UPLOADS], None)


def test_what_has_arrived_is_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        uploading = Uploading(monkeypatch)
        uploading.look()
        await uploading.finish()
        found = uploading.cache.observations(KEY).uploads
        assert found is not None
        assert (found.total_files, found.bytes) == (1, 0)
        assert found.interval >= LEAST_SECONDS
        assert uploading.woken == 1

    asyncio.run(run())


def test_parts_of_a_deleted_job_are_removed_in_the_background(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def run() -> None:
        uploading = Uploading(monkeypatch)
        uploading.look()
        await uploading.finish()
        assert len(uploading.store.client.uploads) == 1
        uploading.preparer.forget(KEY)
        await asyncio.gather(*uploading.preparer._aborts)
        assert uploading.store.client.uploads == {}
        uploading.preparer.forget(KEY)
        assert not uploading.preparer._aborts

    asyncio.run(run())


def test_parts_of_a_job_that_has_ended_are_removed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        uploading = Uploading(monkeypatch)
        uploading.look()
        await uploading.finish()
        note = partial(uploading.preparer.note_uploads, KEY, uploading.job, refused=False)
        note(unfinished=True, ended=False)
        assert not uploading.preparer._aborts
        note(unfinished=True, ended=True)
        await asyncio.gather(*uploading.preparer._aborts)
        assert uploading.store.client.uploads == {}
        note(unfinished=True, ended=True)
        assert not uploading.preparer._aborts

    asyncio.run(run())


def test_parts_are_removed_by_an_operator_that_has_not_looked_at_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The job was suspended when the operator started."""

    async def run() -> None:
        before = Uploading(monkeypatch)
        before.look()
        await before.finish()
        restarted = Uploading(monkeypatch)
        restarted.store = before.store
        restarted.preparer.note_uploads(
            KEY, restarted.job, unfinished=True, refused=False, ended=False
        )
        restarted.preparer.forget(KEY)
        await asyncio.gather(*restarted.preparer._aborts)
        assert before.store.client.uploads == {}

    asyncio.run(run())


def test_refused_files_are_removed_with_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        uploading = Uploading(monkeypatch)
        (file,) = expected_files(uploading.job.spec)
        uploading.store.client.store(ROOT + file.path, bytes(file.size), {"sha256": file.sha256})
        note = partial(uploading.preparer.note_uploads, KEY, uploading.job, unfinished=False)
        note(refused=False, ended=True)
        note(refused=True, ended=True)
        assert not uploading.preparer._aborts, "its worker still looks for the shard"
        uploading.preparer.forget(KEY)
        await asyncio.gather(*uploading.preparer._aborts)
        assert uploading.store.bucket().head(ROOT + file.path) is None

    asyncio.run(run())


def test_aborts_of_one_namespace_are_bounded(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A store that never answers must not collect them while jobs are created and deleted."""

    async def run() -> None:
        uploading = Uploading(monkeypatch)
        preparer, job = uploading.preparer, uploading.job
        for number in range(MOST_ABORTS + 1):
            preparer._uploading["team", f"j{number}"] = job
            preparer.forget(("team", f"j{number}"))
        preparer._uploading["other", "j"] = job
        preparer.forget(("other", "j"))
        assert len(preparer._aborts) == MOST_ABORTS + 1
        await preparer.close()

    asyncio.run(run())
    assert "too many jobs of the namespace were deleted" in caplog.text


def test_time_that_is_up_becomes_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    async def make(_job: FederatedJob, _workers: int, _folder: str) -> Kits:
        await asyncio.sleep(600)
        return Kits(name="set", files={})

    async def run() -> None:
        running = Running(monkeypatch, make)
        running.preparer._lanes = Lanes({Stage.KITS: 0.01})
        running.start()
        await running.finish()
        problem = running.problem()
        assert problem is not None
        assert "kits: not done in 0 s" in problem.message
        assert running.woken == 1
        assert running.preparer.health().ok

    asyncio.run(run())


def test_a_store_that_fails_then_leaves_a_line_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        uploading = Uploading(monkeypatch)
        uploading.look()
        await uploading.finish()
        uploading.store.client.faults["list_multipart_uploads"] = [refusal("X", 503)]
        uploading.preparer.forget(KEY)
        await asyncio.gather(*uploading.preparer._aborts)

    asyncio.run(run())
    assert "unfinished uploads are left" in caplog.text


def test_transfers_wait_for_no_other_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        uploading = Uploading(monkeypatch)
        slots = uploading.preparer._lanes.slots(Stage.INPUTS)
        for number in range(PARALLEL):
            await slots.acquire(f"n{number}")
        uploading.look()
        await uploading.finish()
        assert uploading.cache.observations(KEY).uploads is not None

    asyncio.run(run())


def test_results_are_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        uploading = Uploading(monkeypatch)
        annotations = {KEY_ANNOTATION: PUBLIC, RESULTS_ANNOTATION: "n1"}
        meta = uploading.job.metadata.model_copy(update={"annotations": annotations})
        job = uploading.job.model_copy(update={"metadata": meta})
        uploading.preparer.start(KEY, job, [Stage.RESULTS], None)
        await uploading.finish()
        found = uploading.cache.observations(KEY).results
        assert found is not None
        assert found.ask.results == "n1"
        assert "no results yet" in found.message

    asyncio.run(run())


def test_forms_for_logs_begin_with_the_current_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        uploading = Uploading(monkeypatch)
        record = Record(workers={"worker-0": PodSlot(ordinal=3)})
        body = record_map(uploading.job, record)
        body["metadata"]["resourceVersion"] = "1"
        uploading.cache.saw_child("ConfigMap", body)
        shard = ShardPlace(name="a.zip", bucket="jobs", key="k")
        prepared = Prepared(made_from="inputs", workers=[shard])
        uploading.preparer.start(KEY, uploading.job, [Stage.URLS], prepared)
        await uploading.finish()
        (signed,) = uploading.cache.observations(KEY).urls.values()
        assert signed.last_log == 5
        assert "log-3.json" in signed.forms

    asyncio.run(run())


def test_result_for_a_recreated_job_sets_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async def make(_job: FederatedJob, _workers: int, _folder: str) -> Kits:
            running.see("another uid")
            raise StageError(Reason.NO_SPACE, "disk full")

        running = Running(monkeypatch, make)
        running.start()
        await running.finish()
        assert running.problem() is None
        assert running.woken == 0

    asyncio.run(run())


def test_deleted_job_s_stages_are_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> bool:
        cancelled = False

        async def make(_job: FederatedJob, _workers: int, _folder: str) -> Kits:
            nonlocal cancelled
            try:
                await asyncio.sleep(600)
            except asyncio.CancelledError:
                cancelled = True
                raise
            return Kits(name="set", files={})

        running = Running(monkeypatch, make)
        running.start()
        await asyncio.sleep(0.01)
        running.preparer.forget(KEY)
        await running.finish()
        return cancelled

    assert asyncio.run(run())


def test_stage_backoff_grows_to_a_bound() -> None:
    assert [stage_delay(n) for n in (1, 2, 3, 99)] == [2, 4, 8, 60]
