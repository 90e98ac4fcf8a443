"""How long a stage that fails waits before it is tried again."""

from __future__ import annotations

from fedjob_operator.stages.runner import stage_delay


def test_stage_backoff_grows_to_a_bound() -> None:
    assert [stage_delay(n) for n in (1, 2, 3, 99)] == [2, 4, 8, 60]
