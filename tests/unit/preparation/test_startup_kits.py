"""The command that makes startup kits."""

from __future__ import annotations

import sys
from pathlib import Path

from fedjob.preparation.startup_kits import KitsRequest, kits_failure

REQUEST = KitsRequest(
    project="digits",
    server_name="localhost",
    hosts=["127.0.0.1"],
    fl_port=8002,
    workers=["worker-0"],
)


def test_command_runs_the_provisioner_of_this_environment() -> None:
    assert REQUEST.argv(Path("/out")) == [
        sys.executable, "-m", "fedjob_runtime.nvflare_site.provisioning",
        "--out", "/out", "--project", "digits", "--fl-port", "8002",
        "--server-name", "localhost", "--host", "127.0.0.1", "--worker", "worker-0",
    ]  # fmt: skip
    assert REQUEST.argv(Path("/out"), ["kits"])[:3] == ["kits", "--out", "/out"]


def test_failure_names_the_log_if_there_is_one() -> None:
    assert str(kits_failure(3, "why")) == (
        "startup kits: the command ended with code 3; report it with its output:\nwhy"
    )
    assert "see /run/kits.log, which ends with:\nwhy" in str(
        kits_failure(3, "why", Path("/run/kits.log"))
    )
