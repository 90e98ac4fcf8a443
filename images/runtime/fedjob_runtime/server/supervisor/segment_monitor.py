"""Follows one segment: when it is superseded, and what its job process is asked. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from fedjob_runtime.server.ipc import SegmentReport
from fedjob_runtime.server.supervisor.membership import Membership

SETTLE_SECONDS = 1.5
"""Seconds without a join before a join counts: workers that return one by one share a segment."""
SCHEDULE_SECONDS = 45.0
"""Seconds after which a submitted segment that has not started is superseded by the next."""


EXIT_REPORT_SECONDS = 2.0
"""Seconds that a worker gets to report the end of a training process that has disconnected; it
takes milliseconds. Without a report the process runs and only its connection is lost."""


@dataclass(frozen=True, slots=True)
class SegmentEnd:
    """Why a segment is over.

    Attributes:
        why: The report's outcome (`complete`, `stop`, `short`, `hung`, `error`, `broken`), or what
            was observed from outside: `over` (the run stops early), `parent`, `job`, `exited`,
            `disconnected`, `membership`, `not scheduled`.
        exited: Workers whose training process ended while they stayed connected.
        disconnected: Workers whose training process runs, but lost its connection.
    """

    why: str
    exited: frozenset[str] = frozenset()
    disconnected: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SegmentRequest:
    """What a running segment is asked for; see `ipc.Control`."""

    lost: tuple[str, ...] = ()
    stop_after_round: bool = False


class SegmentMonitor:
    """One segment under way.

    Args:
        job: NVFlare's id of it.
        members: Its workers and their incarnations at its start.
        welcome: Workers that may join: those of the job that are not left out.
        submitted: When it was submitted, monotonic seconds.
    """

    def __init__(
        self, job: str, members: Mapping[str, str], welcome: Collection[str], submitted: float
    ) -> None:
        self._job = job
        self._members = members
        self._welcome = welcome
        self._submitted = submitted
        self._started = False
        self._working: frozenset[str] = frozenset()
        self._own: frozenset[str] = frozenset()
        self._joined_at: float | None = None
        self._disconnected_at: float | None = None

    def step(
        self, now: float, report: SegmentReport | None, membership: Membership, parent: bool
    ) -> SegmentEnd | SegmentRequest:
        """Judges one observation.

        Args:
            now: Monotonic seconds.
            report: The job process's last report, if any; read before the membership.
            membership: Who is connected.
            parent: Whether NVFlare's parent runs.
        """
        if report is not None and report.phase == "ended":
            return SegmentEnd(report.outcome)
        if not parent:
            return SegmentEnd("parent")
        lost = self._lost(membership)
        cells = membership.job_cells(self._job)
        working = cells & self._members.keys()
        # The server has a process of the job too; its end is not a worker's fault.
        over = bool(self._own - cells)
        self._own |= cells - working
        gone = self._working - working - lost
        self._working |= working
        self._started = self._started or self._job in membership.jobs
        if over or (self._started and self._job not in membership.jobs):
            # With the job all its processes end: workers are to blame only where others' are left.
            blamed = gone if len(gone) < len(self._working - lost) else frozenset()
            return SegmentEnd("job", blamed)
        if not self._started and now - self._submitted > SCHEDULE_SECONDS:
            return SegmentEnd("not scheduled")
        if gone:
            exited = gone & membership.ended_in(self._job)
            if self._disconnected_at is None:
                self._disconnected_at = now
            if exited:
                return SegmentEnd("exited", exited)
            if now - self._disconnected_at >= EXIT_REPORT_SECONDS:
                if len(gone) == len(self._working - lost) > 1:
                    # All at once: the job is ending on the server's side.
                    return SegmentEnd("job")
                return SegmentEnd("disconnected", disconnected=gone)
        else:
            self._disconnected_at = None
        settled = self._settled(now, membership)
        if settled and (report is None or report.phase == "started"):
            return SegmentEnd("membership")
        return SegmentRequest(tuple(sorted(lost)), settled)

    def _lost(self, membership: Membership) -> frozenset[str]:
        return frozenset(
            name
            for name, incarnation in self._members.items()
            if membership.clients.get(name) != incarnation
        )

    def _settled(self, now: float, membership: Membership) -> bool:
        joined = any(
            name in self._welcome and self._members.get(name) != incarnation
            for name, incarnation in membership.clients.items()
        )
        if not joined:
            self._joined_at = None
            return False
        if self._joined_at is None:
            self._joined_at = now
        return now - self._joined_at >= SETTLE_SECONDS
