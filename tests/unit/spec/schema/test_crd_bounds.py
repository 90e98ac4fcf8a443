"""Every bound of the CRD, made from its schema, means the same to fedjob (row 26's habit)."""

import pytest

from fedjob.errors import InvalidInputError
from fedjob.spec.schema.crd import custom_resource_definition
from fedjob.spec.validation.parse import parse_object
from support.spec.sample_job import job
from support.spec.schema_bounds import COMPANIONS, Bound, bounds_of, nodes_of
from support.spec.schema_values import SAMPLES, NoValueError

SCHEMA = custom_resource_definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
BOUNDS = list(bounds_of(SCHEMA, job({})))


@pytest.mark.parametrize("bound", BOUNDS, ids=[bound.name for bound in BOUNDS])
def test_fedjob_draws_it_where_the_api_server_does(bound: Bound) -> None:
    if bound.accepted:
        parse_object(bound.job)
        return
    with pytest.raises(InvalidInputError) as caught:
        parse_object(bound.job)
    [fault] = caught.value.faults
    # Of an item that is there twice, fedjob names the key.
    assert fault.field in (bound.field, f"{bound.field}.name", f"{bound.field}.path")


def test_each_bound_has_both_sides() -> None:
    rules: dict[str, set[bool]] = {
        bound.name.partition(":")[0]: set() for bound in BOUNDS if ":" in bound.name
    }
    for bound in BOUNDS:
        rule = bound.name.partition(":")[0]
        if rule in rules and not rule.endswith("required"):
            rules[rule].add(bound.accepted)
    one_sided = {
        rule
        for rule, sides in rules.items()
        if len(sides) == 1 and not rule.endswith("minItems")  # 0 has no beyond
    }
    assert one_sided == set()


def test_each_exception_is_of_a_field_that_exists() -> None:
    assert {*COMPANIONS, *SAMPLES} <= set(nodes_of(SCHEMA))


def test_a_bound_that_nobody_made_values_for_is_not_passed_over() -> None:
    schema = {"properties": {"metadata": {"properties": {"name": {"multipleOf": 2}}}}}
    with pytest.raises(NoValueError, match=r"metadata\.name.*multipleOf"):
        list(bounds_of(schema, job({})))
