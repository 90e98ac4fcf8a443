"""How often a status is written."""

from __future__ import annotations

import pytest

from fedjob_operator.naming import Body
from fedjob_operator.planning.status_writes import write_delay


def test_writes_are_bounded() -> None:
    old: Body = {"state": "Training", "rounds": {"completed": 1}}
    assert write_delay(old, dict(old), 0) is None
    assert write_delay(old, {**old, "rounds": {"completed": 2}}, 0.5) == pytest.approx(1.5)
    assert write_delay(old, {**old, "eta": "x"}, 9) == 0
    assert write_delay(old, {**old, "state": "Failed"}, 0.1) == 0

    def beats(*moments: str, state: str = "Training") -> Body:
        found = [
            {"name": str(i), "lastHeartbeat": m, "state": state} for i, m in enumerate(moments)
        ]
        return {**old, "clients": {"connected": 2, "list": found}}

    # Heartbeats alone wait longer than what is news, whichever worker they are of.
    assert write_delay(beats("a", "a"), beats("b", "a"), 1) == pytest.approx(4)
    assert write_delay(beats("a", "a"), beats("b", "c"), 7) == 0
    assert write_delay(beats("a", "a"), beats("b", "a", state="Lost"), 1) == pytest.approx(1)
