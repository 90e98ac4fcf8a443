"""The segment loop: gather workers, run a segment, find out why it ended, until the last round.

NVFlare 2.9 can neither resume a server nor readmit a client to a running job. So each segment is an
NVFlare job that starts at the last committed round; a lost or returned worker, a dead job process,
a dead parent or this process's own restart supersedes it with the next. What is committed is never
lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from fedjob.protocol.config import ServerConfig
from fedjob.protocol.server_status import RunPhase
from fedjob.reasons import Reason
from fedjob_runtime.server.clock import Clock
from fedjob_runtime.server.ipc import SegmentReport
from fedjob_runtime.server.orders import ParentError, SegmentRefusedError
from fedjob_runtime.server.supervisor.client_status import waiting_message
from fedjob_runtime.server.supervisor.client_watch import ClientWatch
from fedjob_runtime.server.supervisor.failure_policy import delay_before, judge_tries
from fedjob_runtime.server.supervisor.handover import SupervisorHandover
from fedjob_runtime.server.supervisor.run_state import RunState
from fedjob_runtime.server.supervisor.segment_monitor import (
    SETTLE_SECONDS,
    SegmentEnd,
    SegmentMonitor,
    SegmentRequest,
)

POLL_SECONDS = 0.1
START_GRACE = 30.0
"""Seconds that the first segment waits for all workers once min_clients are there."""
GPU_SECONDS = 10.0
"""Seconds that job processes of an aborted segment may take to leave the GPU."""
UNANSWERED_SECONDS = 60.0
"""How long workers may be connected to a parent that registers none, the first time; then twice as
long, and so on. Seen on a busy machine: gRPC's event loop woke only every 20 s, for good."""
PEERS_SECONDS = 5.0
"""Between two counts of connections, while no worker is registered."""
MAX_FRUITLESS = 12
"""Segments in a row that end, or cannot begin, without a commit and a worker to blame."""

SERVER_ENDS = ("job", "parent", "broken")
"""Ends of a segment whose cause is on the server's side."""


class NvflareParent(Protocol):
    """NVFlare's parent process, as the loop uses it."""

    @property
    def alive(self) -> bool:
        """Whether the process runs."""

    def start(self) -> None:
        """Starts the process."""

    def kill(self) -> None:
        """Ends the process and its job processes."""

    def peers(self) -> int:
        """Established connections to its port."""

    def submit(self, *, segment: int, start_round: int, clients: Sequence[str]) -> str:
        """Submits a segment; the id of its NVFlare job."""

    def abort(self, job: str) -> None:
        """Aborts a job."""


class SegmentCommitter(Protocol):
    """Makes offered rounds durable."""

    def begin_segment(self, segment: int) -> None:
        """Rounds offered from now on were made by this segment."""


class MemoryCounter(Protocol):
    """Whether the kernel killed one of NVFlare's processes for its memory."""

    def exceeded(self) -> bool:
        """Whether it did since the start."""


class SegmentLoop:
    """Runs segments until the last round is committed or the run has failed.

    Args:
        config: What to run.
        run: What is shared with the committer.
        clients: Who is connected.
        handover: Files shared with the job process.
        parent: NVFlare's parent process.
        committer: Records which segment makes the rounds.
        memory: Whether a process was OOM-killed.
        clock: Time; its `sleep` raises when the run is asked to stop.
        segment: The number before the first segment's.
    """

    def __init__(
        self,
        config: ServerConfig,
        run: RunState,
        *,
        clients: ClientWatch,
        handover: SupervisorHandover,
        parent: NvflareParent,
        committer: SegmentCommitter,
        memory: MemoryCounter,
        clock: Clock,
        segment: int,
    ) -> None:
        self._config = config
        self._run = run
        self._clients = clients
        self._handover = handover
        self._parent = parent
        self._committer = committer
        self._memory = memory
        self._clock = clock
        self._segment = segment
        self._unanswered = UNANSWERED_SECONDS
        self._shards = {worker.name: worker.shard for worker in config.workers}
        self._min_clients = config.spec.federation.min_clients
        self._total = config.spec.federation.num_rounds

    def run(self) -> None:
        """Returns when the last round is committed, or the run stops early or has failed.

        Raises:
            Stopped: The run was asked to stop.
        """
        run = self._run
        while not self._over() and run.failure is None:
            try:
                if not self._parent.alive:
                    run.count("parent", "NVFlare's server process ended; restarting it")
                    self._parent.kill()
                    self._parent.start()
                members = self._gather()
                if members is None:
                    continue
                self._unanswered = UNANSWERED_SECONDS
                job = self._begin(members)
                if job is None:
                    continue
            except SegmentRefusedError as error:
                run.fail(error.reason, str(error))
                return
            except ParentError as error:
                run.last_error = str(error)
                run.fruitless += 1
                run.count("submit", run.last_error)
                self._parent.kill()
                self._fail_if_fruitless()
                self._clock.sleep(delay_before(run.fruitless))
                continue
            end = self._follow(job, members)
            self._conclude(end)
            self._free_the_gpu(end, job)
            if self._over():
                if end.why == "over":
                    # Its next round is under way, and nobody needs it.
                    self._parent.abort(job)
                return
            self._clock.sleep(delay_before(run.tries.count + run.fruitless))

    def _over(self) -> bool:
        return self._run.stopped or self._run.control.committed >= self._total

    # Before a segment.

    def _gather(self) -> dict[str, str] | None:
        """Waits until enough workers are connected.

        Returns:
            Their incarnations; None when NVFlare's parent died or the run ended meanwhile.
        """
        run = self._run
        began, began_at = self._clock.monotonic(), self._clock.time()
        changed, last = began, None
        looked = answered = began
        run.status.update(phase=RunPhase.WAITING, current=None)
        while True:
            connected = self._clients.look(self._report()).clients
            left_out = run.tries.left_out
            usable = {
                name: incarnation
                for name, incarnation in connected.items()
                if name in self._shards and name not in left_out
            }
            now = self._clock.monotonic()
            if connected:
                answered = now
            elif now - looked >= PEERS_SECONDS:
                looked = now
                answered = answered if self._parent.peers() else now
            if now - answered > self._unanswered:
                self._unanswered *= 2
                run.count(
                    "parent",
                    f"workers have been connected to NVFlare's server for {now - answered:.0f} s "
                    "and it has registered none; restarting it",
                )
                self._parent.kill()
                self._parent.start()
                looked = answered = now
            if usable != last:
                changed, last = now, usable
            everyone = len(self._shards) - len(left_out)
            if len(usable) >= everyone and usable:
                return usable
            grace = START_GRACE if run.status.status.segments == 0 else SETTLE_SECONDS
            patient_until = max(began + grace, changed + SETTLE_SECONDS)
            enough = len(usable) >= self._min_clients
            if enough and now >= patient_until:
                return usable
            run.status.update(
                message=waiting_message(
                    sorted(set(self._shards) - set(usable) - left_out),
                    connected=len(usable),
                    everyone=everyone,
                    need=self._min_clients,
                    since=began_at,
                    until=began_at + patient_until - began if enough else None,
                    deadline=self._config.spec.run_policy.active_deadline_seconds,
                )
            )
            if not self._parent.alive or run.failure is not None or self._over():
                return None
            self._clock.sleep(POLL_SECONDS)

    def _begin(self, members: dict[str, str]) -> str | None:
        """Submits the next segment; the id of its NVFlare job, None where the run is over."""
        run = self._run
        self._segment += 1
        self._wait_for_offered()
        if self._over():
            return None
        start = run.control.committed
        run.set_control(segment=self._segment, lost=(), stop_after_round=False)
        self._committer.begin_segment(self._segment)
        job = self._parent.submit(segment=self._segment, start_round=start, clients=sorted(members))
        segments = run.status.status.segments + 1
        run.status.update(
            segments=segments, phase=RunPhase.TRAINING, message="", current=max(start, 0) + 1
        )
        if segments > 1:
            run.status.event(
                "SegmentStarted",
                f"segment {segments} resumes after round {max(start, 0)} "
                f"with {', '.join(sorted(members))}",
            )
        return job

    def _wait_for_offered(self) -> None:
        """Lets a complete round of a superseded segment be committed.

        The next segment starts after it. Started from the round before, it would replace files that
        are being copied. What is incomplete the agent drops when it submits the segment.
        """
        run = self._run
        while self._handover.offered_round(run.control.committed + 1) is not None:
            if run.failure is not None or self._over():
                return
            run.turned()
            self._clock.sleep(POLL_SECONDS)

    # A segment under way.

    def _follow(self, job: str, members: dict[str, str]) -> SegmentEnd:
        """Follows a segment until it ends or has to be superseded."""
        run = self._run
        welcome = set(self._shards) - run.tries.left_out
        monitor = SegmentMonitor(job, members, welcome, self._clock.monotonic())
        while True:
            self._clock.sleep(POLL_SECONDS)
            # In this order: the last report of a job process must be read before its end is seen.
            alive = self._parent.alive
            membership = self._clients.look(self._report())
            report = self._report()
            if report is not None and report.phase != "ended":
                run.status.update(current=max(report.round, 1))
            if run.failure is not None:
                return SegmentEnd("failed")
            if run.stopped:
                return SegmentEnd("over")
            step = monitor.step(self._clock.monotonic(), report, membership, alive)
            if isinstance(step, SegmentRequest):
                run.set_control(lost=step.lost, stop_after_round=step.stop_after_round)
                continue
            if report is not None and report.phase == "ended":
                self._take_report(report)
            return step

    def _report(self) -> SegmentReport | None:
        return self._handover.read_report(self._segment)

    def _take_report(self, report: SegmentReport) -> None:
        """Takes the last report of a segment; its last round is durable afterwards."""
        run = self._run
        run.last_error = report.error.get("message", "")
        if report.outcome == "error":
            run.fail(report.error["reason"], report.error["message"])
        if report.outcome in ("complete", "stop", "hung"):
            while run.control.committed < report.round and not (run.stopped or run.failure):
                self._clients.look(report)
                self._clock.sleep(POLL_SECONDS)
        for name, fault in report.failed.items():
            if report.outcome == "short" or fault["reason"] == Reason.TRAINING_TIMEOUT:
                run.tries.note(report.round, name, fault["reason"], fault["message"])

    # After a segment.

    def _conclude(self, end: SegmentEnd) -> None:
        """Decides what a segment's end means for the round and for the run."""
        run = self._run
        number = run.control.committed + 1
        if end.why in ("complete", "stop", "over"):
            run.fruitless = 0
        elif end.exited or end.disconnected:
            self._blame(end, number)
        elif end.why == "short":
            run.tries.count += 1
        elif end.why == "hung":
            run.status.event(
                "WorkerHung", "a worker did not answer in time; it gets a fresh process", "Warning"
            )
        elif end.why in SERVER_ENDS and self._memory.exceeded():
            run.fail(
                Reason.OUT_OF_MEMORY,
                f"a process of the server was OOM-killed in round {number}; give the server more "
                "memory (spec.server.resources.limits.memory)",
            )
        elif end.why not in ("failed", "error"):
            run.fruitless += 1
            why = run.last_error if end.why == "broken" else end.why
            run.count(end.why.replace(" ", "-"), f"the segment ended early ({why})")
        if run.failure is None:
            run.failure = judge_tries(run.tries, self._shards, self._min_clients)
        if end.why == "short" and run.failure is None:
            run.status.event(
                "RoundShort", f"round {number} had too few results; it is tried again", "Warning"
            )
        self._fail_if_fruitless()

    def _fail_if_fruitless(self) -> None:
        run = self._run
        if run.fruitless >= MAX_FRUITLESS:
            last = f". The last error: {run.last_error}" if run.last_error else ""
            run.fail(
                Reason.FEDERATION_FAILED,
                f"{MAX_FRUITLESS} segments in a row ended without a round; see the server's log"
                f"{last}",
            )

    def _blame(self, end: SegmentEnd, number: int) -> None:
        run = self._run
        for name in sorted(end.disconnected):
            run.tries.note(
                number,
                name,
                Reason.WORKER_LOST,
                f"{name}: the connection of its training process was lost in round {number}, while "
                "the process ran; see the network between worker and server",
            )
            run.count("connection", f"{name}: its training process was cut off in round {number}")
        for name in sorted(end.exited):
            run.tries.note(
                number,
                name,
                Reason.WORKER_EXITED,
                f"{name}: its training process exited in round {number}; see its log for what "
                "the training function did, and whether the node ran out of memory",
            )
            run.count("job-process", f"{name}: its training process ended in round {number}")
        run.tries.count += 1

    def _free_the_gpu(self, end: SegmentEnd, job: str) -> None:
        """Two job processes must not share a GPU: the old one goes first."""
        if self._config.device != "cuda" or end.why in ("complete", "parent"):
            return
        self._parent.abort(job)
        deadline = self._clock.monotonic() + GPU_SECONDS
        while self._clients.read().job_cells(job) and self._clock.monotonic() < deadline:
            self._clock.sleep(POLL_SECONDS)
