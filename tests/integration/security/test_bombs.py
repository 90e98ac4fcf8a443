"""Hostile input of every kind stays within its stated memory (docs/concepts/bombs.md)."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.bombs.measure import KINDS, Measured, measure
from support.repository import ROOT

PAGE = ROOT / "docs/concepts/bombs.md"
LEAST = 300


@pytest.fixture(scope="module")
def measured() -> dict[str, Measured]:
    return {}


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_input_stays_within_its_bound(kind: str, measured: dict[str, Measured]) -> None:
    found = measured[kind] = measure(kind)
    assert found.peak_mib <= found.bound_mib, found.worst
    assert found.unknown == []


def test_page_has_the_inputs_of_every_kind() -> None:
    rows = {
        cells[1].strip(): int(cells[2])
        for line in Path(PAGE).read_text().splitlines()
        if len(cells := line.split("|")) == 9 and cells[2].strip().isdigit()
    }
    assert set(rows) == set(KINDS)
    assert sum(rows.values()) >= LEAST
