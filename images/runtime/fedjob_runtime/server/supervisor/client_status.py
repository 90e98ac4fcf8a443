"""The workers as the server shows them: membership and the report, read as one list. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fedjob.protocol.config import WorkerShard
from fedjob.protocol.server_status import ClientState, ClientView
from fedjob_runtime.server.ipc import SegmentReport
from fedjob_runtime.server.supervisor.membership import Membership


@dataclass(slots=True)
class SeenClients:
    """What is remembered of the workers over the whole server start.

    Attributes:
        incarnations: The last registration of each worker.
        restarts: How often each registered anew.
        samples: Of the last accepted result.
    """

    incarnations: dict[str, str] = field(default_factory=dict)
    restarts: dict[str, int] = field(default_factory=dict)
    samples: dict[str, int] = field(default_factory=dict)

    def note(self, membership: Membership) -> list[str]:
        """Takes the membership in; returns the workers that registered anew."""
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
        seen: What is remembered.
        report: The running segment's, if there is one.
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
        last_heartbeat=membership.heard.get(name),
        samples=seen.samples.get(name, 0),
        message=message,
    )
