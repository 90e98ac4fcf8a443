"""Failures and warnings, each once."""

from __future__ import annotations

from fedjob.protocol.commit import ClientFailure, Participant
from fedjob.report.problems import find_problems
from support.report_samples import commit


def test_equal_messages_are_one_problem_with_all_its_rounds() -> None:
    failure = ClientFailure(name="worker-1", reason="Lost", message="gone")
    found = find_problems([commit(n, failures=[failure]) for n in (1, 2, 3, 5)])
    assert [problem.rounds_label for problem in found] == ["rounds 1\u20133, 5"]


def test_failures_come_before_warnings() -> None:
    warned = Participant(name="worker-0", samples=1, warnings=["WeightsNotLoaded: x"])
    failure = ClientFailure(name="worker-1", reason="Lost", message="gone")
    found = find_problems([commit(1, participants=[warned]), commit(2, failures=[failure])])
    assert [(p.client, p.reason, p.failure) for p in found] == [
        ("worker-1", "Lost", True),
        ("worker-0", "WeightsNotLoaded", False),
    ]
    assert found[0].rounds_label == "round 2"


def test_the_same_message_of_two_clients_is_two_problems() -> None:
    failures = [ClientFailure(name=f"worker-{i}", reason="Lost", message="x") for i in (0, 1)]
    assert len(find_problems([commit(1, failures=failures)])) == 2
