"""The `x-kubernetes-list-*` schema of lists: the fields that identify an item."""

from __future__ import annotations

from typing import Any


def list_map(*keys: str) -> dict[str, Any]:
    """Marks a list whose items are identified by `keys`, which are unique."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


def list_set() -> dict[str, Any]:
    """Marks a list of scalars without repetition."""
    return {"x-kubernetes-list-type": "set"}
