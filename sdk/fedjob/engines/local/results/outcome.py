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
    reason: str = end.reason
    message = end.message
    if not end.complete and not end.reason:
        reason = Reason.SERVER_CRASHED
        if status is not None and status.phase is RunPhase.FAILED:
            reason, message = status.reason, status.message
    return Outcome(
        complete=end.complete, reason=reason, message=message, restarts=restarts, seconds=seconds
    )
