"""Reads who is connected, records who came and went, and shows it."""

from __future__ import annotations

from collections.abc import Sequence

from fedjob.protocol.config import WorkerShard
from fedjob.protocol.server_status import ClientState
from fedjob_runtime.server.clock import Clock
from fedjob_runtime.server.ipc import SegmentReport
from fedjob_runtime.server.supervisor.client_status import SeenClients, view_clients
from fedjob_runtime.server.supervisor.handover import SupervisorHandover
from fedjob_runtime.server.supervisor.membership import Membership, read_membership
from fedjob_runtime.server.supervisor.run_state import RunState


class ClientWatch:
    """The workers as NVFlare's parent sees them.

    Args:
        handover: Where the client registry writes clients.json.
        workers: All workers of the job.
        silence: Seconds after which a client that sends no heartbeat is dropped (heartBeatTimeout).
        run: Where lost workers are counted, and the workers shown.
        clock: Time.
    """

    def __init__(
        self,
        handover: SupervisorHandover,
        workers: Sequence[WorkerShard],
        *,
        silence: float,
        run: RunState,
        clock: Clock,
    ) -> None:
        self._handover = handover
        self._workers = workers
        self._silence = silence
        self._run = run
        self._clock = clock
        self._seen = SeenClients()

    def read(self) -> Membership:
        """Who is connected."""
        return read_membership(self._handover.read_clients(), self._clock.time(), self._silence)

    def look(self, report: SegmentReport | None) -> Membership:
        """Who is connected; records and shows what has changed.

        Args:
            report: The running segment's report, if there is one.
        """
        run = self._run
        run.turned()
        membership = self.read()
        for name in self._seen.note(membership):
            run.status.event("WorkerReturned", f"{name} registered again")
        before = {view.name: view.state for view in run.status.status.clients}
        if report is not None:
            self._seen.samples.update(report.answered)
        views = view_clients(self._workers, membership, self._seen, report, run.tries.faults)
        for view in views:
            lost_now = view.state is ClientState.LOST
            if lost_now and before.get(view.name) not in (None, ClientState.LOST):
                run.count("worker", f"the connection to {view.name} is lost")
        run.status.update(clients=views)
        return membership
