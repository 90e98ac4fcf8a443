"""Lanes: how many stages run at once, for how long, and what is reported of them.

Each lane has slots of its own, so that what a running job needs waits for no job that is being
prepared. Slots are fair by namespace, and a stage is ended at its deadline with all that it has
open (docs/contributing/decisions/029-fair-slots-and-deadlines.md).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from functools import partial

from fedjob.reasons import Reason
from fedjob_operator.metrics import STAGE_OLDEST, STAGE_SECONDS
from fedjob_operator.naming import Key
from fedjob_operator.stage_run import StageRun
from fedjob_operator.stages.errors import StageError
from fedjob_operator.stages.fair_slots import FairSlots
from fedjob_operator.state.observed import Stage

PARALLEL = 8
"""Stages that read inputs, write job folders or build images at once, over all jobs: each may hold
a job folder and a few threads. One namespace gets half of them at most (see `FairSlots`)."""
INSPECTIONS_PARALLEL = 3
"""Processes that inspect shards at once, two of one namespace: each may take 256 MiB."""
QUICK_PARALLEL = 4
"""Presigned URLs and readings of the log of rounds at once: a running job needs them, so they wait
for no job that is being prepared."""
TRANSFERS_PARALLEL = 4
"""Looks at uploads and answers about results at once: they must not wait for a large job, and no
job's stages for them."""
KITS_PARALLEL = 3
"""Kits that are made at once, two of one namespace: each takes seconds of CPU."""
DEADLINES: Mapping[Stage, float] = {
    Stage.UPLOADS: 600.0,
    Stage.INPUTS: 600.0,
    Stage.WORKSPACE: 1800.0,
    Stage.IMAGE: 3600.0,
    Stage.KITS: 330.0,
    Stage.URLS: 60.0,
    Stage.LOG: 120.0,
    Stage.RESULTS: 120.0,
}
"""Seconds after which a stage is ended, with all that it has open: a peer that sends a byte now and
then is as useless as one that sends none. Images may compile packages, and workspaces may copy
gigabytes between stores."""
OVERDUE_SECONDS = 60.0
"""Seconds after its deadline from which a stage that still runs makes the operator unhealthy."""


@dataclass(frozen=True, slots=True)
class StagesHealth:
    """Whether stages end when their time is up.

    Attributes:
        ok: None runs longer than its deadline and a margin.
        oldest: The stage that has run longest, such as `team/digits: image`; empty where none runs.
        seconds: For how long it has run.
    """

    ok: bool
    oldest: str
    seconds: float


@dataclass(frozen=True, slots=True)
class _Running:
    began: float
    deadline: float


class Lanes:
    """Runs steps of stages in slots.

    Args:
        deadlines: Seconds that each stage may take.
    """

    def __init__(self, deadlines: Mapping[Stage, float] = DEADLINES) -> None:
        self._deadlines = deadlines
        self._prepare = FairSlots(PARALLEL)
        self._inspections = FairSlots(INSPECTIONS_PARALLEL)
        self._quick = FairSlots(QUICK_PARALLEL)
        self._kits = FairSlots(KITS_PARALLEL)
        self._transfers = FairSlots(TRANSFERS_PARALLEL)
        self._running: dict[StageRun, _Running] = {}

    def slots(self, stage: Stage) -> FairSlots:
        """The slots of a stage's lane."""
        if stage in (Stage.UPLOADS, Stage.RESULTS):
            return self._transfers
        if stage in (Stage.URLS, Stage.LOG):
            return self._quick
        return self._kits if stage is Stage.KITS else self._prepare

    def inspecting(self, key: Key) -> AbstractAsyncContextManager[None]:
        """A slot for a process that inspects shards, within a stage's own slot."""
        return self._inspections.slot(key[0])

    async def run(self, key: Key, stage: Stage, step: Callable[[], Awaitable[None]]) -> None:
        """Waits for a slot, and ends the step with its threads when its time is up.

        Args:
            key: The job's key; its namespace counts the slots.
            stage: Which lane, and which deadline.
            step: The work; blocking calls go through `run_blocking`.

        Raises:
            StageError: Its time is up.
        """
        slots, seconds = self.slots(stage), self._deadlines[stage]
        await slots.acquire(key[0])
        run, began = StageRun(f"{'/'.join(key)}: {stage}"), time.monotonic()
        self._running[run] = _Running(began, seconds)
        try:
            run.enter()
            async with asyncio.timeout(seconds) as limit:
                await step()
        except TimeoutError:
            if not limit.expired():
                raise
            raise _overdue(stage, seconds) from None
        finally:
            run.end()
            STAGE_SECONDS.labels(stage).observe(time.monotonic() - began)
            # A slot stands for threads: it is free again when the last of them has ended.
            free = partial(self._free, run, slots, key[0])
            run.when_done(partial(_in_loop, asyncio.get_running_loop(), free))

    def _free(self, run: StageRun, slots: FairSlots, namespace: str) -> None:
        del self._running[run]
        slots.release(namespace)

    def health(self) -> StagesHealth:
        """Whether stages end when their time is up, for /healthz."""
        now = time.monotonic()
        oldest = min(self._running.items(), key=lambda item: item[1].began, default=None)
        STAGE_OLDEST.set(0.0 if oldest is None else now - oldest[1].began)
        return StagesHealth(
            ok=all(
                now < each.began + each.deadline + OVERDUE_SECONDS
                for each in self._running.values()
            ),
            oldest="" if oldest is None else oldest[0].name,
            seconds=0.0 if oldest is None else now - oldest[1].began,
        )


def _overdue(stage: Stage, seconds: float) -> StageError:
    if stage is Stage.IMAGE:
        reason, peer = Reason.IMAGE_BUILD_FAILED, "the registry or the build is too slow or hangs"
        fix = "look at the registry of spec.image, and at what spec.model.requirements compile"
    elif stage is Stage.KITS:
        reason, peer = Reason.INTERNAL_ERROR, "the operator is overloaded"
        fix = "give the operator more CPU"
    else:
        reason, peer = Reason.STORE_UNREACHABLE, "the store is too slow or hangs"
        fix = "check the store of spec.storage and spec.shards"
    message = f"{stage}: not done in {seconds:.0f} s, {peer}; {fix}; the operator tries again"
    return StageError(reason, message)


def _in_loop(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the loop is closed: the process ends
        loop.call_soon_threadsafe(call)
