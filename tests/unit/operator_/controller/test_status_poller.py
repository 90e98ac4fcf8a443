"""Following a server's status."""

from __future__ import annotations

from typing import Any

from fedjob.protocol.run import ClientView
from fedjob_operator.controller.status_poller import significant
from support.operator_samples import (
    NOW,
    a_status,
)


def test_heartbeats_and_sequences_alone_are_not_significant() -> None:
    view = ClientView(name="worker-0", shard="s0.zip", last_heartbeat=NOW)
    silent = ClientView(name="worker-1", shard="s1.zip")

    def at(second: float, **more: Any) -> Any:
        heartbeat = view.model_copy(update={"last_heartbeat": NOW + second})
        return significant(a_status(clients=[heartbeat, silent], **more))

    assert at(1, sequence=4) == at(4, sequence=9)
    assert at(1) != at(6)
    assert at(1) != at(1, completed=3)
