"""The security page names tests that exist, one at least for every threat."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
TABLE = re.compile(r"^\|(?P<threat>[^|]+)\|[^|]+\|(?P<tests>[^|]+)\|$", re.MULTILINE)


def test_every_threat_has_tests_that_exist() -> None:
    text = (ROOT / "docs/concepts/security.md").read_text().split("## What an outsider")[1]
    rows = [m for m in TABLE.finditer(text) if m["threat"].strip() not in ("threat", "---")]
    assert len(rows) >= 11
    for row in rows:
        cell = row["tests"]
        files = re.findall(r"`([\w/]+\.py)`", cell)
        assert files or "the same" in cell, row["threat"]
        found = "".join((ROOT / "tests" / file).read_text() for file in files)
        for name in re.findall(r"\btest_[a-z0-9_]+\b(?!\.py)", cell):
            assert f"def {name}(" in found, f"{row['threat']}: no {name}"
