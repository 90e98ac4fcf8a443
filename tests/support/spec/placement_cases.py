"""Accepted and refused resources and tolerations, for `server` and `workers` alike."""

from __future__ import annotations

from typing import Any


def placement_cases(section: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is accepted and what is refused of `server` and `workers` alike."""
    accepted: dict[str, Any] = {}
    refused: dict[str, Any] = {}
    at = f"spec.{section}"
    for name, low, high in (
        ("cpu", "1500m", 2),
        ("memory", "1500M", "2Gi"),
        ("ephemeral-storage", 1000, "1Ki"),
    ):
        equal = {"requests": {name: high}, "limits": {name: high}}
        below = {"requests": {name: low}, "limits": {name: high}}
        above = {"requests": {name: high}, "limits": {name: low}}
        accepted[f"{section} {name} at its limit"] = {f"{at}.resources": equal}
        accepted[f"{section} {name} below its limit"] = {f"{at}.resources": below}
        refused[f"{section} {name} above its limit"] = (
            {f"{at}.resources": above},
            f"{at}.resources.requests.{name}",
            f"is above limits.{name}",
            "raise the limit",
        )
    for name, toleration, field, problem, fix in (
        ("without a key", {"value": "a"}, "key", "missing", "operator: Exists"),
        (
            "with a value",
            {"operator": "Exists", "value": "a"},
            "value",
            "compares no value",
            "remove value",
        ),
        (
            "that ends",
            {"key": "a", "effect": "NoSchedule", "tolerationSeconds": 1},
            "tolerationSeconds",
            "NoSchedule",
            "NoExecute",
        ),
    ):
        refused[f"{section} toleration {name}"] = (
            {f"{at}.tolerations": [toleration]},
            f"{at}.tolerations[0].{field}",
            problem,
            fix,
        )
    return accepted, refused
