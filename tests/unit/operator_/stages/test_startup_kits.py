"""Startup kits of a job."""

from __future__ import annotations

from pathlib import Path

from fedjob_operator.stages.startup_kits import kits_command
from support.operator_samples import (
    a_job,
)


def test_kits_name_every_address_of_the_server() -> None:
    command = kits_command(a_job(), 2, Path("/out"))
    assert command[command.index("--server-name") + 1] == "digits-server"
    assert "digits-server.team.svc" in command
    assert "digits-server.team.svc.cluster.local" in command
    assert command[-4:] == ["--worker", "worker-0", "--worker", "worker-1"]
