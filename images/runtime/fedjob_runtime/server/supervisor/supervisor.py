"""The supervisor of one server start: claims the run, restores it, runs segments, publishes."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path
from typing import Protocol

from fedjob.protocol.config import ServerConfig
from fedjob.protocol.server_status import RunPhase
from fedjob.storage.bucket import Bucket
from fedjob.storage.layout import Layout
from fedjob.storage.patience import Patience
from fedjob.storage.rounds import RoundLog
from fedjob_runtime.server.clock import StoppableClock, Stopped
from fedjob_runtime.server.supervisor.agent_client import AgentClient
from fedjob_runtime.server.supervisor.client_watch import ClientWatch
from fedjob_runtime.server.supervisor.committer import CommittedRun, Committer
from fedjob_runtime.server.supervisor.end_of_run import ReleasingParent, finish, release_workers
from fedjob_runtime.server.supervisor.failure_policy import Failure
from fedjob_runtime.server.supervisor.handover import SupervisorHandover
from fedjob_runtime.server.supervisor.publish import Exporter, publish
from fedjob_runtime.server.supervisor.restore import restore
from fedjob_runtime.server.supervisor.run_state import RunState
from fedjob_runtime.server.supervisor.segment_loop import (
    POLL_SECONDS,
    MemoryCounter,
    NvflareParent,
    SegmentCommitter,
    SegmentLoop,
)
from fedjob_runtime.server.supervisor.status_store import StatusStore

STORE_PATIENCE = 3600.0
"""Seconds that the log of rounds waits for a store that cannot be reached."""
DRAIN_SECONDS = 10.0
"""Seconds that the round at hand may take to become durable when the run is asked to stop."""
SEGMENTS_PER_ATTEMPT = 100_000
"""Segment numbers of one server start; the next start's are higher."""


class SupervisedParent(NvflareParent, ReleasingParent, MemoryCounter, Exporter, Protocol):
    """NVFlare's parent process from its start to its end."""


class RunningCommitter(SegmentCommitter, Protocol):
    """A committer from its start to its end."""

    def start(self) -> None:
        """Begins on a thread of its own."""

    def drain(self, seconds: float) -> None:
        """Lets the round at hand become durable, for a bounded time, and stops."""


class NewCommitter(Protocol):
    """Makes a committer; the arguments are those of `Committer`."""

    def __call__(
        self,
        log: RoundLog,
        handover: SupervisorHandover,
        run: CommittedRun,
        *,
        attempt: int,
        last: int,
    ) -> RunningCommitter:
        """A committer that has not been started."""


class Supervisor:
    """Runs one server start.

    Args:
        config: What to run.
        status: Where the status is shown.
        bucket: The job's bucket.
        folder: Shared with the agent; default is the server's home.
        log: The log of rounds; default is the bucket's.
        parent: NVFlare's parent process; default is the agent's.
        clock: Time; `stop` ends its waits.
        new_committer: Makes the committer.
    """

    def __init__(
        self,
        config: ServerConfig,
        status: StatusStore,
        bucket: Bucket,
        *,
        folder: Path | None = None,
        log: RoundLog | None = None,
        parent: SupervisedParent | None = None,
        clock: StoppableClock | None = None,
        new_committer: NewCommitter = Committer,
    ) -> None:
        self._config = config
        self._status = status
        self._bucket = bucket
        self._clock = clock or StoppableClock()
        self._handover = SupervisorHandover(
            folder or Path(config.home),
            [worker.name for worker in config.workers],
            config.spec.federation.num_rounds,
        )
        self._run = RunState(status, self._handover, self._clock, config.spec.federation)
        layout = Layout(config.namespace, config.name, config.store.prefix)
        patience = Patience(seconds=STORE_PATIENCE, on_retry=self._run.store_unreachable)
        self._log = log or RoundLog(bucket, layout, patience)
        self._parent: SupervisedParent = parent or AgentClient(self._handover.reports, self._clock)
        self._new_committer = new_committer
        self._clients = ClientWatch(
            self._handover,
            config.workers,
            silence=config.spec.federation.heart_beat_timeout,
            run=self._run,
            clock=self._clock,
        )

    def stop(self) -> None:
        """Asks the run to drain and end; safe in a signal handler."""
        self._clock.stop()

    def healthy(self) -> bool:
        """Whether the loop turned within the last two minutes."""
        return self._run.healthy()

    def run(self) -> bool:
        """Runs until the last round is committed, or stopWhen is met, and publishes the model.

        Returns:
            True when complete, False when the run failed for good.

        Raises:
            Stopped: It was asked to stop before the last round; a later start resumes the run.
        """
        attempt = self._log.claim_attempt(f"{socket.gethostname()}/{os.getpid()}")
        total = self._config.spec.federation.num_rounds
        self._status.update(attempt=attempt, total=total)
        restored = restore(self._config, self._bucket, self._log, self._handover)
        self._run.resume(attempt * SEGMENTS_PER_ATTEMPT, restored.last, restored.standing)
        self._status.update(completed=max(restored.last, 0), history=restored.history)
        if restored.last > 0:
            self._status.event("Resumed", f"resumes after round {restored.last}")
        if not restored.over(total):
            self._run_segments(attempt, restored.last)
        if self._run.failure is not None:
            finish(self._config, self._status, RunPhase.FAILED, self._run.failure)
            return False
        self._publish()
        return True

    def _run_segments(self, attempt: int, last: int) -> None:
        run = self._run
        committer = self._new_committer(self._log, self._handover, run, attempt=attempt, last=last)
        # First: it drops what an earlier start has left, which must not be committed.
        self._parent.start()
        committer.start()
        loop = SegmentLoop(
            self._config,
            run,
            clients=self._clients,
            handover=self._handover,
            parent=self._parent,
            committer=committer,
            memory=self._parent,
            clock=self._clock,
            segment=run.control.segment,
        )
        stopped = False
        try:
            loop.run()
        except Stopped:
            stopped = True
        finally:
            committer.drain(DRAIN_SECONDS)
        # Stopped while the last round was being committed: only its model is left to publish.
        over = run.stopped or run.control.committed >= self._config.spec.federation.num_rounds
        if stopped and (not over or run.failure is not None):
            raise Stopped

    def _publish(self) -> None:
        self._status.update(phase=RunPhase.FINISHING, message="publishing the model", current=None)
        last = self._run.control.committed
        published = publish(self._config, self._log, self._handover, self._parent, last)
        self._status.update(result_key=published.key, result_sha256=published.sha256)
        finish(self._config, self._status, RunPhase.COMPLETE, Failure("", ""))

    def release_workers(self) -> None:
        """Tells the workers that the run is over, and ends NVFlare; at once when asked to stop."""
        # On a thread, because an admin call cannot be interrupted and may take seconds.
        release = threading.Thread(
            target=release_workers,
            args=(self._parent, lambda: bool(self._clients.read().clients), self._clock),
            name="release",
            daemon=True,
        )
        release.start()
        while release.is_alive() and not self._clock.stopped(POLL_SECONDS):
            pass
        self._parent.kill()

    def linger(self, seconds: float) -> None:
        """Waits, unless it is asked to stop."""
        self._clock.stopped(seconds)

    def kill(self) -> None:
        """Ends NVFlare at once."""
        self._parent.kill()
