"""The workers as the server shows them, and what it waits for. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fedjob.formats import rfc3339
from fedjob.protocol.config import WorkerShard
from fedjob.protocol.server_status import ClientState, ClientView
from fedjob_runtime.server.ipc import SegmentReport
from fedjob_runtime.server.supervisor.membership import Membership

NAMED = 10
"""Missing workers that a message names; the others are counted."""


@dataclass(slots=True)
class SeenClients:
    """What is remembered of the workers over the whole server start.

    Attributes:
        incarnations: The last registration of each worker.
        restarts: How often each worker registered again after its first registration.
        samples: Samples of each worker's last accepted result.
    """

    incarnations: dict[str, str] = field(default_factory=dict)
    restarts: dict[str, int] = field(default_factory=dict)
    samples: dict[str, int] = field(default_factory=dict)

    def note(self, membership: Membership) -> list[str]:
        """Takes the membership in; returns the workers that registered again."""
        again = []
        for name, incarnation in membership.clients.items():
            known = self.incarnations.get(name)
            if known is not None and known != incarnation:
                self.restarts[name] = self.restarts.get(name, 0) + 1
                again.append(name)
            self.incarnations[name] = incarnation
        return again


def view_clients(
    workers: Sequence[WorkerShard],
    membership: Membership,
    seen: SeenClients,
    report: SegmentReport | None,
    faults: Mapping[str, tuple[str, str]],
) -> list[ClientView]:
    """One view a worker, in the order of the workers.

    Args:
        workers: All workers of the job.
        membership: Who is connected.
        seen: Earlier registrations and results.
        report: The running segment's report, if there is one.
        faults: {reason, message} of workers that failed the round under way, by name.
    """
    return [_view(worker, membership, seen, report, faults) for worker in workers]


def _view(
    worker: WorkerShard,
    membership: Membership,
    seen: SeenClients,
    report: SegmentReport | None,
    faults: Mapping[str, tuple[str, str]],
) -> ClientView:
    name = worker.name
    state, message = ClientState.EXPECTED, ""
    running = report is not None and report.phase in ("training", "validating")
    if name in membership.clients:
        state = ClientState.TRAINING if running else ClientState.CONNECTED
        if report is not None and name in report.answered:
            state = ClientState.ANSWERED
    elif name in seen.incarnations:
        state = ClientState.LOST
    if report is not None and name in report.failed:
        state, message = ClientState.FAILED, report.failed[name]["message"]
    elif name in faults and state is not ClientState.ANSWERED:
        state, message = ClientState.FAILED, faults[name][1]
    return ClientView(
        name=name,
        shard=worker.shard,
        state=state,
        restarts=seen.restarts.get(name, 0),
        last_heartbeat=membership.last_heartbeats.get(name),
        samples=seen.samples.get(name, 0),
        message=message,
    )


def waiting_message(
    missing: Sequence[str],
    *,
    connected: int,
    everyone: int,
    need: int,
    since: float,
    until: float | None,
    deadline: int | None,
) -> str:
    """For whom the server waits, since when and for how long.

    The text changes only when the situation does, so that the status is not written again and
    again.

    Args:
        missing: The workers waited for.
        connected: Number of connected workers.
        everyone: Number of workers that may take part.
        need: `minClients`.
        since: When the wait began, seconds since the epoch.
        until: When the run continues without them; None while fewer than `need` are connected.
        deadline: `runPolicy.activeDeadlineSeconds`.
    """
    more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
    who = ", ".join(missing[:NAMED]) + more
    if until is not None:
        end = f"the run continues without the missing at {rfc3339(until)} at the latest"
    elif deadline is not None:
        end = f"it waits until the job's activeDeadlineSeconds ({deadline}) are over"
    else:
        end = "it waits without a limit; spec.runPolicy.activeDeadlineSeconds sets one"
    return (
        f"waiting for {who} since {rfc3339(since)} ({connected} of {everyone} connected, "
        f"{need} needed): {end}"
    )
