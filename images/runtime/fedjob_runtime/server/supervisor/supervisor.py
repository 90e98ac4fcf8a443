"""The supervisor: runs the federation as segments until the last round is committed.

NVFlare 2.9 can neither resume a server nor readmit a client to a running job. So each segment is an
NVFlare job that starts at the last committed round; a lost or returned worker, a dead job process,
a dead parent or this process's own restart supersedes it with the next. What is committed is never
lost.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

from fedjob.protocol.commit import Commit
from fedjob.protocol.run import RunPhase, ServerConfig, ServerStatus
from fedjob.reasons import Reason
from fedjob.storage.bucket import Bucket
from fedjob.storage.errors import StoreUnreachableError
from fedjob.storage.layout import Layout
from fedjob.storage.patience import Patience
from fedjob.storage.rounds import RoundLog
from fedjob_runtime.atomic_json import read_json, write_json
from fedjob_runtime.processes.fork_client import environment_with_forge
from fedjob_runtime.processes.oom_watch import MemoryWatch
from fedjob_runtime.server.ipc import Control, Handover, SegmentReport
from fedjob_runtime.server.supervisor.client_status import (
    SeenClients,
    view_clients,
    waiting_message,
)
from fedjob_runtime.server.supervisor.committer import Committer
from fedjob_runtime.server.supervisor.membership import Membership, read_membership
from fedjob_runtime.server.supervisor.nvflare_server import Parent, ParentError
from fedjob_runtime.server.supervisor.publish import publish
from fedjob_runtime.server.supervisor.restore import HISTORY, restore
from fedjob_runtime.server.supervisor.retry_policy import (
    Failure,
    RoundTries,
    delay_before,
    judge_tries,
)
from fedjob_runtime.server.supervisor.segment_job import write_segment
from fedjob_runtime.server.supervisor.segment_monitor import (
    SETTLE_SECONDS,
    SegmentEnd,
    SegmentRequest,
    SegmentWatch,
)
from fedjob_runtime.server.supervisor.status_store import StatusBoard
from fedjob_runtime.termination_message import leave_termination_message

POLL_SECONDS = 0.1
START_GRACE = 30.0
"""Seconds that the first segment waits for all workers once min_clients are there."""
STORE_PATIENCE = 3600.0
DRAIN_SECONDS = 10.0
FAREWELL_SECONDS = 15.0
SEGMENTS_PER_ATTEMPT = 100_000
MAX_FRUITLESS = 12
"""Segments in a row that end without a commit and without a worker to blame."""


OWN_ENDS = ("job", "parent", "broken")
"""Ends of a segment whose process died on the server's side."""


class Stopped(Exception):  # noqa: N818 (a request, not an error)
    """SIGTERM: leave the loop, drain, go."""


class Supervisor:
    """Runs one server start.

    Args:
        config: What to run.
        board: Where the status is shown.
        bucket: The job's bucket.
    """

    def __init__(self, config: ServerConfig, board: StatusBoard, bucket: Bucket) -> None:
        self._config = config
        self._board = board
        self._bucket = bucket
        self._state = Path(config.home) / "state"
        self._state.mkdir(parents=True, exist_ok=True)
        self._handover = Handover(self._state)
        self._log = RoundLog(
            bucket,
            Layout(config.namespace, config.name, config.store.prefix),
            Patience(seconds=STORE_PATIENCE, on_retry=self._store_retry),
        )
        self._parent = Parent(config, self._state, environment_with_forge(os.environ))
        self._memory = MemoryWatch()
        self._expected = {worker.name: worker.shard for worker in config.workers}
        self._seen = SeenClients()
        self._tries = RoundTries()
        self._control = Control(segment=0)
        self._mutex = threading.Lock()
        self._failure: Failure | None = None
        self._stop = threading.Event()
        self._pulse = time.monotonic()
        self._fruitless = 0
        self._last_error = ""

    def stop(self) -> None:
        """Asks the run to drain and end; safe in a signal handler."""
        self._stop.set()

    def healthy(self) -> bool:
        """Whether the loop turned within the last two minutes."""
        return time.monotonic() - self._pulse < 120

    def run(self) -> bool:
        """Runs until the last round is committed and published.

        Returns:
            True when complete, False when the run failed for good.

        Raises:
            Stopped: It was asked to stop before the last round; the run can go on later.
        """
        attempt = self._log.claim_attempt(f"{socket.gethostname()}/{os.getpid()}")
        self._segment = attempt * SEGMENTS_PER_ATTEMPT
        total = self._config.spec.federation.num_rounds
        self._board.update(attempt=attempt, total=total)
        found = restore(self._config, self._bucket, self._log, self._handover, self._state)
        self._control = Control(segment=self._segment, committed=found.last)
        self._board.update(completed=max(found.last, 0), history=found.history)
        if found.last > 0:
            self._board.event("Resumed", f"goes on after round {found.last}")
        if found.last < total:
            committer = Committer(
                self._log,
                self._handover,
                attempt,
                found.last,
                self._committed,
                lambda error: self._fail(Reason.FENCED, str(error)),
                lambda error: self._fail(error.reason, str(error)),
            )
            self._parent.prepare()
            self._parent.start()
            committer.start()
            stopped = False
            try:
                self._run_segments(committer)
            except Stopped:
                stopped = True
            finally:
                committer.drain(DRAIN_SECONDS)
            # Asked to stop while the last round was being committed: only its model is missing.
            if stopped and (self._control.committed < total or self._failure is not None):
                raise Stopped
        if self._failure is not None:
            self._finish(RunPhase.FAILED, self._failure)
            return False
        self._publish()
        return True

    def farewell(self) -> None:
        """Tells the workers that the run is over, and ends NVFlare; at once when asked to stop."""
        # On a thread, because an admin call cannot be interrupted and may take seconds.
        said = threading.Thread(target=self._say_farewell, name="farewell", daemon=True)
        said.start()
        while said.is_alive() and not self._stop.wait(POLL_SECONDS):
            pass
        self._parent.kill()

    def _say_farewell(self) -> None:
        deadline = time.monotonic() + FAREWELL_SECONDS
        # The workers that are not reached are ended by whoever started them.
        with contextlib.suppress(ParentError, Stopped):
            while self._parent.alive and not self._parent.shut_clients_down():
                if time.monotonic() > deadline:
                    return
                self._sleep(0.5)
            while self._members().clients and time.monotonic() < deadline:
                self._sleep(0.2)

    def linger(self, seconds: float) -> None:
        """Waits, unless it is asked to stop."""
        self._stop.wait(seconds)

    def kill(self) -> None:
        """Ends NVFlare at once."""
        self._parent.kill()

    # The loop.

    def _run_segments(self, committer: Committer) -> None:
        total = self._config.spec.federation.num_rounds
        while self._control.committed < total and self._failure is None:
            if not self._parent.alive:
                self._count("parent", "NVFlare's server process ended; it is started anew")
                self._parent.kill()
                self._parent.start()
            members = self._gather()
            if members is None:
                continue
            try:
                job = self._begin(members, committer)
            except ParentError as error:
                self._count("submit", str(error))
                self._parent.kill()
                continue
            end = self._watch(job, members)
            self._note_end(end, job)
            if self._control.committed >= total:
                return
            self._sleep(delay_before(self._tries.count + self._fruitless))

    def _gather(self) -> dict[str, str] | None:
        """Waits until enough workers are there; their incarnations; None: the parent died."""
        began = time.monotonic()
        to_clock = time.time() - began
        changed, last = began, None
        self._board.update(phase=RunPhase.WAITING, current=None)
        need = self._config.spec.federation.min_clients
        while True:
            membership = self._look()
            usable = {
                name: incarnation
                for name, incarnation in membership.clients.items()
                if name in self._expected and name not in self._tries.left_out
            }
            now = time.monotonic()
            if usable != last:
                changed, last = now, usable
            everyone = len(self._expected) - len(self._tries.left_out)
            if len(usable) >= everyone and usable:
                return usable
            first = self._board.status.segments == 0
            grace = START_GRACE if first else SETTLE_SECONDS
            patient_until = max(began + grace, changed + SETTLE_SECONDS)
            enough = len(usable) >= need
            if enough and now >= patient_until:
                return usable
            missing = sorted(set(self._expected) - set(usable) - self._tries.left_out)
            message = waiting_message(
                missing,
                connected=len(usable),
                everyone=everyone,
                need=need,
                since=began + to_clock,
                until=patient_until + to_clock if enough else None,
                deadline=self._config.spec.run_policy.active_deadline_seconds,
            )
            self._board.update(message=message)
            if not self._parent.alive or self._failure is not None:
                return None
            self._sleep(POLL_SECONDS)

    def _begin(self, members: dict[str, str], committer: Committer) -> str:
        self._segment += 1
        start = self._control.committed
        self._drop_uncommitted(start)
        self._set_control(segment=self._segment, lost=(), stop_after_round=False)
        folder = write_segment(
            Path(self._config.job_folder),
            Path(self._config.home) / "segments",
            segment=self._segment,
            start_round=start,
            clients=sorted(members),
        )
        committer.begin_segment(self._segment)
        job = self._parent.submit(folder)
        shutil.rmtree(folder, ignore_errors=True)
        segments = self._board.status.segments + 1
        self._board.update(
            segments=segments, phase=RunPhase.TRAINING, message="", current=max(start, 0) + 1
        )
        if segments > 1:
            self._board.event(
                "SegmentStarted",
                f"segment {segments} goes on after round {max(start, 0)} "
                f"with {', '.join(sorted(members))}",
            )
        return job

    def _watch(self, job: str, members: dict[str, str]) -> SegmentEnd:
        """Follows a segment until it ends or has to be superseded."""
        welcome = set(self._expected) - self._tries.left_out
        watch = SegmentWatch(job, members, welcome, time.monotonic())
        while True:
            self._sleep(POLL_SECONDS)
            # In this order: what a job process says last must be seen before that it is gone.
            alive = self._parent.alive
            membership = self._look()
            report = self._show_report()
            if self._failure is not None:
                return SegmentEnd("failed")
            step = watch.step(time.monotonic(), report, membership, alive)
            if isinstance(step, SegmentRequest):
                self._set_control(lost=step.lost, stop_after_round=step.stop_after_round)
                continue
            if report is not None and report.phase == "ended":
                self._take_report(report)
            return step

    def _take_report(self, report: SegmentReport) -> None:
        """What a segment says at its end; its last round is durable afterwards."""
        if report.outcome == "error":
            self._fail(report.error["reason"], report.error["message"])
        self._last_error = report.error.get("message", "")
        if report.outcome in ("complete", "stop", "hung"):
            while self._control.committed < report.round and self._failure is None:
                self._look()
                self._sleep(POLL_SECONDS)
        for name, fault in report.failed.items():
            if report.outcome == "short" or fault["reason"] == Reason.TRAINING_TIMEOUT:
                self._tries.note(report.round, name, fault["reason"], fault["message"])

    def _note_end(self, end: SegmentEnd, job: str) -> None:
        number = self._control.committed + 1
        if end.why in ("complete", "stop"):
            self._fruitless = 0
        elif end.why == "exited" or end.exited:
            for name in sorted(end.exited):
                self._tries.note(
                    number,
                    name,
                    Reason.WORKER_EXITED,
                    f"{name}: its training process exited in round {number}; see its log for what "
                    "the training function did, and whether the node ran out of memory",
                )
                self._count("job-process", f"{name}: its training process ended in round {number}")
            self._tries.count += 1
        elif end.why == "short":
            self._tries.count += 1
        elif end.why == "hung":
            self._board.event(
                "WorkerHung", "a worker did not answer in time; it gets a fresh process", "Warning"
            )
        elif end.why in OWN_ENDS and self._memory.exceeded():
            self._fail(
                Reason.OUT_OF_MEMORY,
                f"a process of the server was ended for want of memory in round {number}; give "
                "the server more memory (spec.server.resources.limits.memory)",
            )
        elif end.why != "failed":
            self._fruitless += 1
            why = self._last_error if end.why == "broken" else end.why
            self._count(end.why.replace(" ", "-"), f"the segment ended early ({why})")
        if self._failure is None:
            self._failure = judge_tries(
                self._tries, self._expected, self._config.spec.federation.min_clients
            )
        if end.why == "short" and self._failure is None:
            self._board.event(
                "RoundShort", f"round {number} had too few results and is tried again", "Warning"
            )
        if self._fruitless >= MAX_FRUITLESS:
            self._fail(
                Reason.FEDERATION_FAILED,
                f"{MAX_FRUITLESS} segments in a row ended without a round; see the server's log"
                + (f". The last error: {self._last_error}" if self._last_error else ""),
            )
        if self._config.device == "cuda" and end.why not in ("complete", "parent"):
            # Two job processes must not share a GPU: the old one goes first.
            self._parent.abort(job)
            deadline = time.monotonic() + 10
            while self._members().job_cells(job) and time.monotonic() < deadline:
                self._sleep(POLL_SECONDS)

    # What is seen, and what is told.

    def _members(self) -> Membership:
        return read_membership(
            read_json(self._state / "clients.json"),
            time.time(),
            self._config.spec.federation.heart_beat_timeout,
        )

    def _look(self) -> Membership:
        """Reads who is there, notes who came and went, and shows it."""
        self._pulse = time.monotonic()
        membership = self._members()
        for name in self._seen.note(membership):
            self._board.event("WorkerReturned", f"{name} registered anew")
        before = {view.name: view.state for view in self._board.status.clients}
        report = self._handover.read_report(self._segment)
        if report is not None:
            self._seen.samples.update(report.answered)
        views = view_clients(
            self._config.workers, membership, self._seen, report, self._tries.faults
        )
        for view in views:
            if view.state == "Lost" and before.get(view.name) not in (None, "Lost"):
                self._count("worker", f"the connection to {view.name} is gone")
        self._board.update(clients=views)
        return membership

    def _show_report(self) -> SegmentReport | None:
        report = self._handover.read_report(self._segment)
        if report is not None and report.phase != "ended":
            self._board.update(current=max(report.round, 1))
        return report

    def _committed(self, commit: Commit) -> None:
        self._set_control(committed=commit.round)
        if commit.round == 0:
            return
        if self._tries.round <= commit.round:
            hung = {n: c for n, c in self._tries.passing.items() if n in _timed_out(commit)}
            faults = {n: f for n, f in self._tries.faults.items() if n in hung}
            self._tries.reset(commit.round + 1)
            # Who times out round after round costs each of them roundTimeout: it is counted on.
            self._tries.passing.update(hung)
            self._tries.faults.update(faults)
        self._fruitless = 0
        history = [*self._board.status.history, commit][-HISTORY:]
        self._board.update(completed=commit.round, history=history)
        for participant in commit.participants:
            for warning in participant.warnings:
                text = warning.removeprefix(f"{Reason.WEIGHTS_NOT_LOADED}: ")
                self._board.event(
                    Reason.WEIGHTS_NOT_LOADED, f"{participant.name}: {text}", "Warning"
                )
        for failure in commit.failures:
            self._board.event(failure.reason, failure.message, "Warning")

    def _set_control(self, **changes: object) -> None:
        with self._mutex:
            control = replace(self._control, **changes)  # type: ignore[arg-type]
            if control != self._control:
                self._control = control
                self._handover.write_control(control)

    def _fail(self, reason: str, message: str) -> None:
        if self._failure is None:
            self._failure = Failure(reason, message)

    def _count(self, kind: str, message: str) -> None:
        self._board.count(kind)
        self._board.event("Recovering", message, "Warning")

    def _store_retry(self, error: StoreUnreachableError) -> None:
        self._pulse = time.monotonic()
        self._board.count("store")
        self._board.update(message=f"the store is out of reach: {error}")

    def _drop_uncommitted(self, committed: int) -> None:
        """A superseded segment may have left a round half-written beyond the last commit."""
        deadline = time.monotonic() + DRAIN_SECONDS
        while self._handover.offered_round(self._control.committed + 1) is not None:
            # Whole and offered: it is being committed, and the next segment starts after it.
            if time.monotonic() > deadline or self._failure is not None:
                return
            self._sleep(POLL_SECONDS)
        for folder in (self._state / "rounds").glob("*"):
            if int(folder.name) > self._control.committed or int(folder.name) < committed - 1:
                shutil.rmtree(folder, ignore_errors=True)

    def _sleep(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise Stopped

    # The end.

    def _publish(self) -> None:
        self._board.update(phase=RunPhase.FINISHING, message="publishes the model", current=None)
        published = publish(self._config, self._log, self._handover)
        self._board.update(result_key=published.key, result_sha256=published.sha256)
        self._finish(RunPhase.COMPLETE, Failure("", ""))

    def _finish(self, phase: RunPhase, end: Failure) -> None:
        self._board.update(phase=phase, reason=str(end.reason), message=end.message, current=None)
        save_status(self._config, self._board.status)


def save_status(config: ServerConfig, status: ServerStatus) -> None:
    """Leaves the last status in the log, and on disk for whoever comes after the port is closed."""
    end = f"{status.reason}: {status.message}" if status.reason else f"round {status.completed}"
    sys.stdout.write(f"fedjob-server: {status.phase.value}: {end}\n")
    sys.stdout.flush()
    write_json(Path(config.home) / "status.json", status.model_dump(mode="json", by_alias=True))
    leave_termination_message(status.phase.value, status.reason, status.message)


def _timed_out(commit: Commit) -> set[str]:
    return {f.name for f in commit.failures if f.reason == Reason.TRAINING_TIMEOUT}
