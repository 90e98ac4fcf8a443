"""Whether nothing was lost or done twice: the log of rounds, and the model's own arithmetic.

A worker i of the recorder's job adds i + 1 to every weight of the model it was given, so a
committed model is the sum over the rounds of the mean of its participants' steps, weighted by their
samples. A round that was lost, or whose result went in twice, shows in every value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fedjob.protocol.commit import Commit

TOLERANCE = 1e-3


def faults_of_log(commits: Mapping[int, Commit], rounds: int | None = None) -> list[str]:
    """What is wrong with a job's log of rounds; empty when nothing is.

    Args:
        commits: By number, round 0 among them.
        rounds: How many there must be; None: any number.
    """
    numbers = sorted(commits)
    faults = []
    if numbers != list(range(len(numbers))):
        faults.append(f"the log has a gap: {numbers}")
    if rounds is not None and numbers[-1:] != [rounds]:
        faults.append(f"the last round is {numbers[-1:]}, not {rounds}")
    starts = [(commits[n].attempt, commits[n].segment) for n in numbers]
    if starts != sorted(starts):
        faults.append(f"an older server committed after a newer one: {starts}")
    return faults


def faults_of_model(commits: Mapping[int, Commit], model: Mapping[str, Any]) -> list[str]:
    """What is wrong with the values of the last committed model."""
    expected = sum(_step(commits[n]) for n in commits if n > 0)
    return [
        f"{name} is {tensor.flatten().tolist()}, and {len(commits) - 1} rounds make {expected}"
        for name, tensor in model.items()
        if (tensor - expected).abs().max() > TOLERANCE * max(1.0, expected)
    ]


def faults_of_counts(status: Mapping[str, Any], counted: tuple[str, str], times: int) -> list[str]:
    """Whether the status counts so many restarts of this cause, or retries of this kind."""
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
