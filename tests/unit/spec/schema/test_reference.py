"""The field table in the documentation."""

from collections.abc import Iterator

from pathlib import Path

from typing import Any

import pytest

from fedjob.spec.schema.crd import crd_yaml, custom_resource_definition

from fedjob.spec.schema.reference import reference

from fedjob.spec.validation.hints import PATTERN_HINTS

from fedjob.spec.validation.rules import RULES

from fedjob.spec.yaml import load_yaml

ROOT = Path(__file__).parents[4]

def test_the_checked_in_field_table_is_up_to_date():
    path = ROOT / "docs/reference/spec.md"
    assert path.read_text() == reference(), f"run python -m fedjob.spec.schema.reference > {path}"

