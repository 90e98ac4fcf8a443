"""Rules over several fields stand in the CRD, at fields that exist."""

from collections.abc import Iterator
from typing import Any

from fedjob.spec.schema.crd import custom_resource_definition
from fedjob.spec.validation.rules import RULES

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


def test_each_rule_stands_at_its_node_once():
    found = [
        (path, rule["rule"])
        for path, node in SPEC.items()
        for rule in node.get("x-kubernetes-validations", ())
    ]
    assert sorted(found) == sorted((rule.at, rule.cel) for rule in RULES)
    assert len(set(found)) == len(found)


def test_each_field_that_a_rule_blames_exists():
    for rule in RULES:
        assert f"{rule.at}{rule.field}" in SPEC
