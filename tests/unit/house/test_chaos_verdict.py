"""The judge of the fault matrix sees what it is there to see."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from chaos.faults import FAULTS, Phase
from chaos.matrix import Outcome, Strike
from chaos.table import figures, matrix
from chaos.verdict import faults_of_counts, faults_of_log, faults_of_model
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


def test_a_whole_log_is_fine() -> None:
    assert faults_of_log(log_of(0, 1, 2, 3), 3) == []


@pytest.mark.parametrize("numbers", [(0, 1, 3), (1, 2), (0, 1, 2)])
def test_a_gap_or_a_missing_end_is_seen(numbers: tuple[int, ...]) -> None:
    assert faults_of_log(log_of(*numbers), 3)


def test_an_old_server_after_a_new_one_is_seen() -> None:
    made = log_of(0, 1, 2, 3)
    made[2] = commit(2, attempt=2, segment=200_001)
    assert "older server" in faults_of_log(made, 3)[0]


def test_the_model_tells_of_every_round() -> None:
    made = log_of(0, 1, 2)
    step = (4 * 1 + 5 * 2) / 9
    assert faults_of_model(made, {"w": torch.full((2, 3), 2 * step)}) == []
    assert faults_of_model(made, {"w": torch.full((2, 3), step)})
    assert faults_of_model(made, {"w": torch.full((2, 3), 3 * step)})


def test_a_worker_that_was_away_counts_for_nothing() -> None:
    made = {0: commit(0), 1: commit(1, 1, 1, 4, 0), 2: commit(2, 1, 1, 4, 5)}
    assert faults_of_model(made, {"w": torch.full((1,), 1 + 14 / 9)}) == []


def test_counts_are_asked_for() -> None:
    status = {
        "server": {"restartCauses": {"Killed": 2}},
        "clients": {"list": [{"restartCauses": {"Deleted": 1}}, {"restartCauses": {"Deleted": 1}}]},
        "retries": {"job": 3},
    }
    assert faults_of_counts(status, ("server", "Killed"), 2) == []
    assert faults_of_counts(status, ("worker", "Deleted"), 2) == []
    assert faults_of_counts(status, ("retries", "job"), 4)
    assert faults_of_counts({}, ("worker", "Deleted"), 1)
    assert faults_of_counts({}, ("", ""), 5) == []


def test_the_table_says_what_did_not_go_on() -> None:
    name = FAULTS[0].name
    outcome = Outcome(name, told={"server": {"Killed": 1}, "workers": {}, "retries": {}})
    outcome.strikes = [Strike(name, Phase.MID_ROUND, t, 1, 0) for t in (3.0, 1.0, 2.0)]
    told = [json.loads(json.dumps(outcome.as_json()))]
    assert "| 2.0 s |" in matrix(told)
    assert "nothing lost" in matrix(told)
    assert "| 3 of 3 | 2.0 s | 1.0 s | 3.0 s | 1 | 0 | 1 server Killed |" in figures(told)
    outcome.strikes.append(Strike(name, Phase.LAST, None))
    outcome.wrong.append("the log has a gap")
    told = [json.loads(json.dumps(outcome.as_json()))]
    assert "did not go on" in matrix(told)
    assert "the log has a gap" in matrix(told)


def test_every_fault_of_the_issue_has_a_row() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) == 17
    text = (Path(__file__).parents[3] / "tests/chaos/memory.py").read_text()
    assert "worker out of memory" in text
