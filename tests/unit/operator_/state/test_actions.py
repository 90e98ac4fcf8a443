"""Actions of a plan."""

from __future__ import annotations

from typing import Any

import pytest

from fedjob_operator.state.actions import Actions, EventNote
from fedjob_operator.state.observed import Stage

BODY = {"kind": "Pod", "metadata": {"name": "p"}}


@pytest.mark.parametrize(
    ("fields", "changes"),
    [
        ({}, False),
        (
            {"status": {"state": "Pending"}, "stages": frozenset({Stage.INPUTS}), "again": 1.0},
            False,
        ),
        ({"events": (EventNote("Normal", "A", "b"),)}, False),
        ({"delete": (BODY,)}, True),
        ({"create": (BODY,)}, True),
        ({"apply": (BODY,)}, True),
        ({"record": BODY}, True),
        ({"delete_job": True}, True),
    ],
)
def test_status_stages_and_events_are_not_changes(fields: dict[str, Any], *, changes: bool) -> None:
    assert Actions(**fields).changes is changes
