"""The field table in the documentation."""

from pathlib import Path

from fedjob.spec.schema.reference import reference

ROOT = Path(__file__).parents[4]


def test_the_checked_in_field_table_is_up_to_date():
    path = ROOT / "docs/reference/spec.md"
    assert path.read_text() == reference(), f"run python -m fedjob.spec.schema.reference > {path}"
