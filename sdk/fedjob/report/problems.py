"""Refused answers and warnings: what went wrong in a round without ending the run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fedjob.protocol.commit import Commit
from fedjob.report.number_format import ranges

MOST_PROBLEMS = 100


@dataclass(frozen=True, slots=True)
class Problem:
    """The same message of the same client, in one round or more."""

    client: str
    reason: str
    message: str
    rounds: tuple[int, ...]
    failure: bool

    @property
    def rounds_label(self) -> str:
        """`round 3`, `rounds 1-3, 5`."""
        return f"round{'s' if len(self.rounds) > 1 else ''} {ranges(self.rounds)}"


def find_problems(commits: Sequence[Commit]) -> list[Problem]:
    """Failures first, then warnings, each once with the rounds in which it came.

    Args:
        commits: All committed rounds.
    """
    found: dict[tuple[bool, str, str, str], list[int]] = {}
    for commit in commits:
        for failure in commit.failures:
            key = (True, failure.name, failure.reason, failure.message)
            found.setdefault(key, []).append(commit.round)
        for participant in commit.participants:
            for warning in participant.warnings:
                key = (False, participant.name, warning.reason, warning.message)
                found.setdefault(key, []).append(commit.round)
    return [
        Problem(
            client=client, reason=reason, message=message, rounds=tuple(rounds), failure=failure
        )
        for (failure, client, reason, message), rounds in sorted(
            found.items(), key=lambda item: not item[0][0]
        )
    ]
