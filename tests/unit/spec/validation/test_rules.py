"""Rules over several fields stand in the CRD, at fields that exist."""

from fedjob.spec.validation.rules import RULES
from support.spec.crd_schema import SPEC


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
