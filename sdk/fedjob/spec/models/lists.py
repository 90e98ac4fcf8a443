"""What a list adds to its JSON schema for Kubernetes: how its items are told apart."""

from __future__ import annotations

from typing import Any


def list_map(*keys: str) -> dict[str, Any]:
    """Marks a list whose items are told apart by `keys`, so that they are unique."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


def list_set() -> dict[str, Any]:
    """Marks a list of scalars without repetition."""
    return {"x-kubernetes-list-type": "set"}
