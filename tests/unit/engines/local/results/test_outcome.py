"""Why a run failed: from the processes' end and the server's last status."""

import pytest

from fedjob.engines.local.processes.supervision import End
from fedjob.engines.local.results.outcome import outcome_of
from fedjob.protocol.server_status import RunPhase, ServerStatus
from fedjob.reasons import Reason

FAILED = ServerStatus(phase=RunPhase.FAILED, reason="OutOfMemory", message="reduce batch_size")


@pytest.mark.parametrize(
    ("end", "status", "reason", "message"),
    [
        (End(True), None, "", ""),
        (End(False), FAILED, "OutOfMemory", "reduce batch_size"),
        (End(False, "too few", Reason.TOO_FEW_WORKERS), FAILED, "TooFewWorkers", "too few"),
        (End(False, "it ended"), None, "ServerCrashed", "it ended"),
        (End(False, "it ended"), ServerStatus(), "ServerCrashed", "it ended"),
    ],
)
def test_the_reason_of_an_end(end, status, reason, message):
    outcome = outcome_of(end, status, {"server": 1}, 2.0)
    assert (outcome.complete, outcome.reason, outcome.message) == (end.complete, reason, message)
    assert outcome.restarts == {"server": 1}
