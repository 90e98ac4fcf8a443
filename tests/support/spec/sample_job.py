"""A small valid job, with values changed at dotted paths."""

from __future__ import annotations

from typing import Any

ABSENT = object()
ITEM = {"name": "a.zip", "uri": "s3://bucket/a.zip"}
UPLOAD = {"name": "a.zip", "sha256": "0f" * 32, "size": 1}


def job(changes: dict[str, Any]) -> dict[str, Any]:
    """A small valid job with values put at dotted paths; ABSENT removes."""
    data: dict[str, Any] = {
        "apiVersion": "fedjob.dev/v1alpha1",
        "kind": "FederatedJob",
        "metadata": {"name": "digits"},
        "spec": {"model": {"source": {"uri": "s3://bucket/model_def.py"}, "className": "Net"}},
    }
    for path, value in changes.items():
        *above, last = path.split(".")
        node = data
        for name in above:
            node = node.setdefault(name, {})
        if value is ABSENT:
            del node[last]
        else:
            node[last] = value
    return data
