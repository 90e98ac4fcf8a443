"""The contract names tests that exist: a promise must not rest on a test that is gone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
ROWS = {
    int(match[1]): match[2]
    for match in re.finditer(
        r"^\| (\d+) \|.*\|([^|]*)\|$",
        (ROOT / "docs/reference/contract.md").read_text(),
        re.MULTILINE,
    )
}
LOCAL = [2, *range(4, 19), *range(20, 28), 31, 36, 40]
"""The rows that one machine can prove (the first issue's list)."""


def test_every_row_is_in_the_table() -> None:
    assert sorted(ROWS) == list(range(1, 42))


@pytest.mark.parametrize("row", LOCAL)
def test_a_row_that_one_machine_can_prove_has_a_test(row: int) -> None:
    assert ROWS[row].strip()


@pytest.mark.parametrize("row", [row for row, cell in ROWS.items() if cell.strip()])
def test_the_named_tests_exist(row: int) -> None:
    for entry in ROWS[row].split(";"):
        match = re.fullmatch(r"\s*`([\w/.]+)`(?::\s*([\w, ]+))?\s*", entry)
        assert match, f"row {row}: {entry!r} is not `file.py` or `file.py`: test, test"
        source = (ROOT / "tests" / match[1]).read_text()
        for name in filter(None, re.split(r",\s*", (match[2] or "").strip())):
            assert f"def {name}(" in source, f"row {row}: {match[1]} has no {name}"
