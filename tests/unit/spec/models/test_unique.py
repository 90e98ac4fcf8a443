"""Repeated items of lists are named with the place of the first."""

from __future__ import annotations

from typing import Any

import pytest

from fedjob.errors import Fault
from fedjob.spec.models.unique import repetitions

NAMED = {
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["name"],
    "items": {"properties": {"tags": {"x-kubernetes-list-type": "set", "items": {}}}},
}
SCHEMA = {
    "properties": {
        "spec": {"properties": {"files": NAMED, "plain": {"items": {}}}},
    }
}


def found(**spec: Any) -> list[Fault]:
    return list(repetitions({"spec": spec}, SCHEMA))


def test_a_repeated_name_is_given_with_the_place_of_the_first() -> None:
    (fault,) = found(files=[{"name": "a"}, {"name": "b"}, {"name": "a"}])
    assert fault == Fault(
        "spec.files[2].name", "`a` stands at spec.files[0] already", "give each another name"
    )


def test_each_repetition_is_named_and_leads_to_the_first() -> None:
    faults = found(files=[{"name": "a"}, {"name": "a"}, {"name": "a"}])
    assert [fault.field for fault in faults] == ["spec.files[1].name", "spec.files[2].name"]
    assert all("spec.files[0]" in fault.problem for fault in faults)


def test_sets_inside_items_are_compared_within_their_item() -> None:
    (fault,) = found(files=[{"name": "a", "tags": ["x"]}, {"name": "b", "tags": ["x", "y", "x"]}])
    assert fault == Fault(
        "spec.files[1].tags[2]", "`x` stands at spec.files[1].tags[0] already", "remove it"
    )


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"files": None},
        {"files": "a"},
        {"files": [{"name": "a"}, {"name": "b"}]},
        {"files": [{}, {}, "a", "a", None, {"name": 1}, {"name": 1}]},
        {"files": [{"name": "a", "tags": [1, 1, None, None]}]},
        {"plain": ["a", "a"]},
    ],
)
def test_what_does_not_repeat_or_does_not_fit_is_passed_over(spec: dict[str, Any]) -> None:
    assert found(**spec) == []
