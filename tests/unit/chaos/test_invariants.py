"""What must hold after a fault, on made-up logs, models and statuses."""

from __future__ import annotations

import pytest
import torch

from chaos.invariants import count_violations, log_violations, model_violations
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
