"""The schema of the generated CRD, and its nodes by path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fedjob.spec.schema.crd import custom_resource_definition

CRD = custom_resource_definition()
VERSION = CRD["spec"]["versions"][0]
SCHEMA = VERSION["schema"]["openAPIV3Schema"]


def nodes(node: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every node below and including `node`, with its path such as `spec.shards.items[].name`."""
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    if "items" in node:
        yield from nodes(node["items"], f"{path}[]")
    if "additionalProperties" in node:
        yield from nodes(node["additionalProperties"], f"{path}.*")


SPEC = dict(nodes(SCHEMA["properties"]["spec"], "spec"))
STATUS = dict(nodes(SCHEMA["properties"]["status"], "status"))
