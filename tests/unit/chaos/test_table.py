"""The tables of the fault matrix, on made-up outcomes."""

from __future__ import annotations

import json

from chaos.faults import FAULTS, Phase
from chaos.matrix import Outcome, Strike
from chaos.table import figures, matrix


def test_table_shows_jobs_that_did_not_continue() -> None:
    name = FAULTS[0].name
    outcome = Outcome(name, counts={"server": {"Killed": 1}, "workers": {}, "retries": {}})
    outcome.strikes = [Strike(name, Phase.MID_ROUND, t, 1, 0) for t in (3.0, 1.0, 2.0)]
    results = [json.loads(json.dumps(outcome.as_json()))]
    assert "| 2.0 s |" in matrix(results)
    assert "nothing lost" in matrix(results)
    assert "| 3 of 3 | 2.0 s | 1.0 s | 3.0 s | 1 | 0 | 1 server Killed |" in figures(results)
    outcome.strikes.append(Strike(name, Phase.LAST, None))
    outcome.wrong.append("the log has a gap")
    results = [json.loads(json.dumps(outcome.as_json()))]
    assert "did not continue" in matrix(results)
    assert "the log has a gap" in matrix(results)
