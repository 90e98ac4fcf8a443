"""How the processes' part of a run ended, before any result is fetched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fedjob.engines.local.processes.supervision import End
from fedjob.protocol.server_status import RunPhase, ServerStatus
from fedjob.reasons import Reason


@dataclass(frozen=True, slots=True)
class Outcome:
    """Complete, or failed and why.

    Attributes:
        complete: Every round is committed and the result is published.
        reason: From the catalogue, when it failed.
        message: Why it failed and what to do.
        restarts: Of server and workers, by name, where there were any.
        seconds: From the start of this run to now.
    """

    complete: bool
    reason: str = ""
    message: str = ""
    restarts: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0


def outcome_of(
    end: End, status: ServerStatus | None, restarts: Mapping[str, int], seconds: float
) -> Outcome:
    """How a run ended, from the end of its processes and the server's last status.

    The server's own reason is preferred: the server knows what happened inside the federation.
    """
    if end.complete:
        return Outcome(complete=True, restarts=restarts, seconds=seconds)
    if end.reason:
        return Outcome(False, end.reason, end.message, restarts, seconds)
    if status is not None and status.phase is RunPhase.FAILED:
        return Outcome(False, status.reason, status.message, restarts, seconds)
    return Outcome(False, Reason.SERVER_CRASHED, end.message, restarts, seconds)
