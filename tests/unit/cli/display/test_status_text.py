"""Ages, times left and reasons as text."""

from datetime import UTC, datetime, timedelta

import pytest

from fedjob.cli.display.status_text import age, eta, since, why
from fedjob.engines.run_status import RunStatus

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0s"), (11, "11s"), (119, "119s"), (120, "2m"), (125, "2m5s"), (600, "10m"),
        (7200, "120m"), (3 * 3600 + 240, "3h4m"), (9 * 3600, "9h"), (50 * 3600, "2d"),
    ],
)  # fmt: skip
def test_age_is_written_as_kubectl_writes_it(seconds, text):
    assert age(seconds) == text


def test_moment_that_is_not_known_has_no_age():
    assert since(None, NOW) == "-"
    assert since(NOW - timedelta(seconds=5), NOW) == "5s"


def test_time_left_of_a_run_that_trains():
    status = RunStatus(name="a", state="Training", eta=NOW + timedelta(seconds=80))
    assert eta(status, NOW) == "1 min 20 s"
    assert eta(status, NOW + timedelta(hours=1)) == "0.00 s"
    assert eta(status.model_copy(update={"state": "Complete"}), NOW) == "-"


def test_reason_and_message_are_one_line():
    status = RunStatus(name="a", state="Failed", reason="OutOfMemory", message="reduce\nbatch")
    assert why(status) == "OutOfMemory: reduce batch"
    assert why(RunStatus(name="a", state="Failed", reason="X")) == "X"
