"""The fault matrix's invariants and tables, on made-up logs, models and outcomes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from chaos.faults import FAULTS, Phase
from chaos.invariants import count_violations, log_violations, model_violations
from chaos.matrix import Outcome, Strike
from chaos.table import figures, matrix
from fedjob.protocol.commit import Commit, Participant

MOMENT = "2026-11-24T20:00:00Z"


def commit(number: int, attempt: int = 1, segment: int = 100_001, *samples: int) -> Commit:
    who = [
        Participant(name=f"worker-{index}", samples=count)
        for index, count in enumerate(samples or (4, 5))
        if number and count
    ]
    return Commit(
        round=number, attempt=attempt, segment=segment, sha256="0" * 64, size=1,
        participants=who, started=MOMENT, ended=MOMENT,
    )  # fmt: skip


def log_of(*numbers: int) -> dict[int, Commit]:
    return {number: commit(number) for number in numbers}


def test_complete_log_has_no_violations() -> None:
    assert log_violations(log_of(0, 1, 2, 3), 3) == []


@pytest.mark.parametrize("numbers", [(0, 1, 3), (1, 2), (0, 1, 2)])
def test_gap_or_missing_last_round_is_a_violation(numbers: tuple[int, ...]) -> None:
    assert log_violations(log_of(*numbers), 3)


def test_commit_of_an_older_server_is_a_violation() -> None:
    made = log_of(0, 1, 2, 3)
    made[2] = commit(2, attempt=2, segment=200_001)
    assert "older server" in log_violations(made, 3)[0]


def test_model_must_contain_every_round_once() -> None:
    made = log_of(0, 1, 2)
    step = (4 * 1 + 5 * 2) / 9
    assert model_violations(made, {"w": torch.full((2, 3), 2 * step)}) == []
    assert model_violations(made, {"w": torch.full((2, 3), step)})
    assert model_violations(made, {"w": torch.full((2, 3), 3 * step)})


def test_absent_worker_does_not_count() -> None:
    made = {0: commit(0), 1: commit(1, 1, 1, 4, 0), 2: commit(2, 1, 1, 4, 5)}
    assert model_violations(made, {"w": torch.full((1,), 1 + 14 / 9)}) == []


def test_missing_counts_are_violations() -> None:
    status = {
        "server": {"restartCauses": {"Killed": 2}},
        "clients": {"list": [{"restartCauses": {"Deleted": 1}}, {"restartCauses": {"Deleted": 1}}]},
        "retries": {"job": 3},
    }
    assert count_violations(status, ("server", "Killed"), 2) == []
    assert count_violations(status, ("worker", "Deleted"), 2) == []
    assert count_violations(status, ("retries", "job"), 4)
    assert count_violations({}, ("worker", "Deleted"), 1)
    assert count_violations({}, ("", ""), 5) == []


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


def test_every_required_fault_has_a_row() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) == 17
    text = (Path(__file__).parents[3] / "tests/chaos/out_of_memory.py").read_text()
    assert "worker out of memory" in text
