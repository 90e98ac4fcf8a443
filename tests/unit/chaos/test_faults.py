"""The faults of the matrix."""

from __future__ import annotations

from chaos.faults import FAULTS
from support.repository import ROOT


def test_every_required_fault_has_a_row() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) == 20
    text = (ROOT / "tests/chaos/out_of_memory.py").read_text()
    assert "worker out of memory" in text
