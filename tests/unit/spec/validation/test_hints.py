"""Every pattern of the spec has a description and an example."""

from collections.abc import Iterator
from typing import Any

from fedjob.spec.schema.crd import custom_resource_definition
from fedjob.spec.validation.hints import PATTERN_HINTS

CRD = custom_resource_definition()

VERSION = CRD["spec"]["versions"][0]

SCHEMA = VERSION["schema"]["openAPIV3Schema"]


def nodes(node: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    if "items" in node:
        yield from nodes(node["items"], f"{path}[]")
    if "additionalProperties" in node:
        yield from nodes(node["additionalProperties"], f"{path}.*")


SPEC = dict(nodes(SCHEMA["properties"]["spec"], "spec"))


def test_every_pattern_has_a_description_and_an_example():
    used = {node["pattern"] for node in SPEC.values() if "pattern" in node}
    assert used <= PATTERN_HINTS.keys()


def test_no_pattern_looks_around():
    """RE2, which the API server uses, has no lookahead and no back reference."""
    for pattern in PATTERN_HINTS:
        assert "(?" not in pattern
