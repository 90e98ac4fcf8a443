"""Checks that no round was lost or counted twice, by the round log and by the model's values.

Worker i of the recorder job adds i + 1 to every weight it receives, so a committed model is the
sum over the rounds of the sample-weighted mean of its participants' steps. A round that was lost,
or whose result was added twice, shows in every value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fedjob.protocol.commit import Commit

TOLERANCE = 1e-3


def log_violations(commits: Mapping[int, Commit], rounds: int | None = None) -> list[str]:
    """Violations in a job's round log; empty if it is correct.

    Args:
        commits: Commits by round number, including round 0.
        rounds: The expected number of rounds; None: any number.
    """
    numbers = sorted(commits)
    violations = []
    if numbers != list(range(len(numbers))):
        violations.append(f"the log has a gap: {numbers}")
    if rounds is not None and numbers[-1:] != [rounds]:
        violations.append(f"the last round is {numbers[-1:]}, not {rounds}")
    starts = [(commits[n].attempt, commits[n].segment) for n in numbers]
    if starts != sorted(starts):
        violations.append(f"an older server committed after a newer one: {starts}")
    return violations


def model_violations(commits: Mapping[int, Commit], model: Mapping[str, Any]) -> list[str]:
    """Violations in the values of the last committed model; empty if they are correct."""
    expected = sum(_step(commits[n]) for n in commits if n > 0)
    return [
        f"{name} is {tensor.flatten().tolist()}, and {len(commits) - 1} rounds make {expected}"
        for name, tensor in model.items()
        if (tensor - expected).abs().max() > TOLERANCE * max(1.0, expected)
    ]


def count_violations(status: Mapping[str, Any], counted: tuple[str, str], times: int) -> list[str]:
    """A violation if the status counts fewer than `times` restarts or retries of this kind.

    Args:
        status: The job's status.
        counted: (site, cause), or ("retries", kind); empty strings: nothing must be counted.
        times: Number of faults.
    """
    site, cause = counted
    if not site or not times:
        return []
    found = _causes(status, site).get(cause, 0)
    if found >= times:
        return []
    return [f"{found} of {times} times {cause} are counted for the {site}: {_all(status)}"]


def _causes(status: Mapping[str, Any], site: str) -> dict[str, int]:
    if site == "retries":
        return dict(status.get("retries") or {})
    sites: Sequence[Mapping[str, Any]] = [status.get("server") or {}]
    if site == "worker":
        sites = (status.get("clients") or {}).get("list") or []
    counts: dict[str, int] = {}
    for each in sites:
        for cause, count in (each.get("restartCauses") or {}).items():
            counts[cause] = counts.get(cause, 0) + count
    return counts


def _all(status: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    return {site: _causes(status, site) for site in ("server", "worker", "retries")}


def _step(commit: Commit) -> float:
    steps = [(p.samples, 1 + int(p.name.rpartition("-")[2])) for p in commit.participants]
    return sum(samples * step for samples, step in steps) / sum(samples for samples, _ in steps)
