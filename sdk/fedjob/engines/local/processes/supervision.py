"""Watches the processes of a run and starts them again by the rules of restarts.py."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from fedjob.engines.local.observer import RunObserver
from fedjob.engines.local.processes.processes import Child, tail
from fedjob.engines.local.processes.restarts import (
    Decision,
    Ending,
    Then,
    agent_ended,
    server_ended,
    too_few_left,
    worker_ended,
)
from fedjob.reasons import Reason


@dataclass(frozen=True, slots=True)
class Limits:
    """How many losses a run survives.

    Attributes:
        min_clients: Workers that a round needs.
        max_restarts: Of each worker.
        backoff_limit: Of the server, without a committed round.
    """

    min_clients: int
    max_restarts: int
    backoff_limit: int


@dataclass(frozen=True, slots=True)
class End:
    """How the processes' part of the run ended.

    Attributes:
        complete: The server reported that every round is committed.
        message: Otherwise, why not; empty where the server's own status has the message.
        reason: From the catalogue, where the processes themselves show it; empty where the
            server's own reason counts.
    """

    complete: bool
    message: str = ""
    reason: str = ""


@dataclass(slots=True)
class _Watched:
    child: Child
    restarts: int = 0
    crashes: int = 0
    start_at: float | None = None
    end: Decision | None = None

    def ending(self) -> Ending | None:
        """How it ended, once; None while it runs, waits for its start or has ended for good."""
        code = self.child.poll()
        if code is None or self.start_at is not None or self.end is not None:
            return None
        return Ending(code, self.child.lived, self.crashes, self.restarts)


@dataclass(slots=True)
class Supervision:
    """The server, its agent and the workers of one run.

    Attributes:
        server: The server's supervisor.
        workers: The workers.
        limits: How many losses the run survives.
        observer: Notified of every restart and every loss.
        reported_failure: Whether the server's own status is Failed.
        failure_of: The message in which a worker reported its own failure, by the worker's name;
            empty where there is none.
        agent: The server's agent, which runs NVFlare for it.
    """

    server: Child
    workers: Sequence[Child]
    limits: Limits
    observer: RunObserver
    reported_failure: Callable[[], bool]
    failure_of: Callable[[str], str] = lambda name: ""
    agent: Child | None = None
    _server: _Watched = field(init=False)
    _agent: _Watched | None = field(init=False)
    _workers: list[_Watched] = field(init=False)

    def __post_init__(self) -> None:
        self._server = _Watched(self.server)
        self._agent = _Watched(self.agent) if self.agent is not None else None
        self._workers = [_Watched(child) for child in self.workers]

    @property
    def children(self) -> list[Child]:
        """Every process, the server first."""
        return [self.server, *([self.agent] if self.agent is not None else []), *self.workers]

    @property
    def restarts(self) -> dict[str, int]:
        """Restarts by name, where there were any."""
        agent = self._agent.restarts if self._agent is not None else 0
        found = {self.server.name: self._server.restarts + agent}
        found |= {each.child.name: each.restarts for each in self._workers}
        return {name: restarts for name, restarts in found.items() if restarts}

    def start(self) -> None:
        """Start them all."""
        for child in self.children:
            child.start()

    def round_committed(self) -> None:
        """A round was committed: the server's crashes before it no longer count."""
        self._server.crashes = 0
        if self._agent is not None:
            self._agent.crashes = 0

    def tick(self) -> End | None:
        """Look at every process once and do what is due; the end of the run, when it is there."""
        for watched in self._workers:
            ending = watched.ending()
            if ending is not None:
                self._after(watched, self._worker_rule(watched, ending), ending)
            self._start_due(watched)
        ending = self._server.ending()
        if ending is not None:
            rule = server_ended(
                ending,
                reported_failure=self.reported_failure(),
                backoff_limit=self.limits.backoff_limit,
            )
            if rule.then is Then.DONE:
                return End(complete=True)
            if rule.then is Then.FAILED:
                return self._server_failed(rule, self.server)
            self._after(self._server, rule, ending)
        self._start_due(self._server)
        return self._tick_agent() or self._hopeless()

    def _tick_agent(self) -> End | None:
        if self._agent is None:
            return None
        ending = self._agent.ending()
        if ending is not None:
            rule = agent_ended(ending, backoff_limit=self.limits.backoff_limit)
            if rule.then is Then.FAILED:
                return self._server_failed(rule, self._agent.child)
            self._after(self._agent, rule, ending)
        self._start_due(self._agent)
        return None

    def _server_failed(self, rule: Decision, child: Child) -> End:
        if self.reported_failure():
            return End(complete=False)
        message = _with_log(rule.why, child)
        return End(complete=False, message=message, reason=Reason.BACKOFF_LIMIT_EXCEEDED)

    def _worker_rule(self, watched: _Watched, ending: Ending) -> Decision:
        name = watched.child.name
        return worker_ended(name, ending, max_restarts=self.limits.max_restarts)

    def _after(self, watched: _Watched, rule: Decision, ending: Ending) -> None:
        if rule.then is Then.RESTART:
            watched.crashes = ending.crashes + 1
            watched.start_at = time.monotonic() + rule.after
            self.observer.note(f"{rule.why}; restarting in {rule.after:g} s", warning=True)
            return
        watched.end = rule
        if rule.then is Then.FAILED:
            self.observer.note(self._explain(rule.why, watched.child), warning=True)

    def _start_due(self, watched: _Watched) -> None:
        if watched.start_at is not None and time.monotonic() >= watched.start_at:
            watched.start_at = None
            watched.restarts += 1
            watched.child.start()
            self.observer.restarted(watched.child.name, watched.restarts)

    def _hopeless(self) -> End | None:
        lost = [each for each in self._workers if each.end and each.end.then is Then.FAILED]
        if not too_few_left(len(self._workers), len(lost), self.limits.min_clients):
            return None
        why = "; ".join(each.end.why for each in lost if each.end)
        left = len(self._workers) - len(lost)
        message = (
            f"{left} of {len(self._workers)} workers are left and a round needs "
            f"{self.limits.min_clients} (spec.federation.minClients): {why}"
        )
        return End(
            complete=False,
            message=self._explain(message, lost[-1].child),
            reason=Reason.TOO_FEW_WORKERS,
        )

    def _explain(self, why: str, child: Child) -> str:
        message = self.failure_of(child.name)
        return f"{why}: {message}" if message else _with_log(why, child)


def _with_log(message: str, child: Child) -> str:
    lines = tail(child.log)
    return f"{message}; its log {child.log} ends with:\n{lines}" if lines else message
