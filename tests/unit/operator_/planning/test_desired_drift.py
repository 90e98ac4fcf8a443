"""Whether an object differs from the wanted one, and where."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from fedjob_operator.naming import sealed
from fedjob_operator.planning.desired import drifted

WANT: dict[str, Any] = sealed(
    {
        "kind": "Secret",
        "metadata": {"name": "digits-store", "labels": {"a": "1"}},
        "data": {"key": "c2VjcmV0"},
        "spec": {"ports": [{"port": 1}, {"port": 2}], "none": None},
    }
)


def changed(path: str, value: Any) -> dict[str, Any]:
    """The wanted object with one field changed; `...` removes it."""
    have = copy.deepcopy(WANT)
    *parents, name = path.split("/")
    part: Any = have
    for parent in parents:
        part = part[int(parent)] if isinstance(part, list) else part[parent]
    if value is ...:
        del part[name]
    else:
        part[name] = value
    return have


def test_missing_or_equal_object_has_not_drifted() -> None:
    assert drifted(WANT, None) == (False, "")
    assert drifted(WANT, copy.deepcopy(WANT)) == (False, "")


@pytest.mark.parametrize(
    ("path", "value"),
    [("spec/clusterIP", "10.0.0.1"), ("status", {}), ("metadata/labels/theirs", "2")],
)
def test_fields_of_others_are_ignored(path: str, value: Any) -> None:
    assert drifted(WANT, changed(path, value)) == (False, "")


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        ("metadata/labels/a", "2", "metadata.labels.a differs"),
        ("metadata/labels/a", ..., "metadata.labels.a differs"),
        ("metadata/labels", [], "metadata.labels differs"),
        ("spec/ports", [{"port": 1}], "spec.ports differs"),
        ("spec/ports", {"port": 1}, "spec.ports differs"),
        ("spec/ports/1", {"port": 3}, "spec.ports[1].port differs"),
        ("data/key", "b3RoZXI=", "data.key differs"),
    ],
)
def test_first_differing_field_is_named_without_its_value(path: str, value: Any, why: str) -> None:
    if path == "spec/ports/1":
        have = copy.deepcopy(WANT)
        have["spec"]["ports"][1] = value
    else:
        have = changed(path, value)
    assert drifted(WANT, have) == (True, why)


def test_field_that_should_be_absent_is_drift() -> None:
    before = {name: value for name, value in WANT.items() if name != "metadata"}
    before["metadata"] = {"name": "digits-store", "labels": {"a": "1"}}
    before["immutable"] = True
    assert drifted(WANT, sealed(before)) == (True, "a field was set before and should be absent")
