"""Reference pages list what exists: values, settings, metrics, conditions, reasons, files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fedjob.protocol.server_status import ClientState, RunPhase
from fedjob.reasons import Reason
from fedjob.spec.models.status import ConditionType, JobState, RestartCause
from fedjob_operator.settings import STORE_KEYS, Settings
from support.repository import PACKAGES, ROOT, python_files, text_of, tracked

REFERENCE = Path("docs/reference")
LAYOUT = Path("docs/contributing/layout.md")
WHOLE_VALUES = {"resources"}
"""Mappings of the chart's values that are one value: Kubernetes' own structures."""


def cells(path: Path) -> list[list[str]]:
    """The cells of every table row of a page."""
    rows = [line for line in text_of(path).splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]


def section(path: Path, heading: str) -> str:
    """The text below a heading, up to the next of its level or above."""
    level = heading.split(" ")[0]
    text = text_of(path).split(f"\n{heading}\n", 1)[1]
    return re.split(rf"\n#{{1,{len(level)}}} ", text, maxsplit=1)[0]


def leaves(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names of the chart's values, with their defaults."""
    for name, value in values.items():
        if isinstance(value, dict) and value and name not in WHOLE_VALUES:
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def test_the_chart_s_values_are_listed_with_their_defaults() -> None:
    values = yaml.safe_load((ROOT / "charts/fedjob/values.yaml").read_text())
    listed = {row[0].strip("`"): row[1] for row in cells(REFERENCE / "chart-values.md")}
    expected = dict(leaves(values))
    assert sorted(listed.keys() - {"value"}) == sorted(expected)
    for name, default in expected.items():
        shown = listed[name]
        if default in ("", [], {}):
            assert shown == "empty", name
        elif not isinstance(default, dict):
            assert str(yaml.safe_load(shown.strip("`"))) == str(default), name


def test_the_operator_s_settings_are_listed() -> None:
    page = section(REFERENCE / "operator-settings.md", "## Settings")
    listed = set(re.findall(r"`((?:FEDJOB|AWS)_\w+)`", page))
    assert listed == {f"FEDJOB_{name.upper()}" for name in Settings.model_fields} | set(STORE_KEYS)


def test_metrics_are_listed() -> None:
    page = text_of(REFERENCE / "metrics.md")
    listed = {name.removesuffix("_total") for name in re.findall(r"\| `(fedjob_\w+)` \|", page)}
    sources = ("operator/fedjob_operator", "images/runtime/fedjob_runtime/server/supervisor")
    text = "".join(text_of(path) for path in tracked(*sources) if path.name == "metrics.py")
    defined = set(re.findall(r'"(fedjob_[a-z_]+)"', text))
    assert len(defined) > 15
    assert listed == {name.removesuffix("_total") for name in defined}


@pytest.mark.parametrize(
    ("heading", "names"),
    [
        ("## States", list(JobState)),
        ("## Conditions", list(ConditionType)),
        ("### Training", list(RunPhase)),
        ("## Restart causes", list(RestartCause)),
        ("## States of a worker", list(ClientState)),
    ],
)
def test_states_and_conditions_are_explained(heading: str, names: list[str]) -> None:
    page = section(REFERENCE / "conditions.md", heading)
    assert [name for name in names if not re.search(rf"\b{name}\b", page)] == []


def test_reasons_of_conditions_are_explained() -> None:
    """Reasons that are not in the catalogue, as the planner writes them."""
    text = text_of(Path("operator/fedjob_operator/planning/conditions.py"))
    written = set(re.findall(r'"([A-Z][a-z]+(?:[A-Z][a-z]+)+)"', text))
    assert len(written) > 8
    page = text_of(REFERENCE / "conditions.md")
    assert [name for name in sorted(written) if name not in page] == []


def spellings() -> dict[str, set[str]]:
    """How code names each reason: the enum's member, the text, errors that carry it."""
    found = {reason.value: {reason.name, reason.value} for reason in Reason}
    carries = re.compile(
        r"^class (\w+)\((?:(?!^class ).)*?reason\b[^\n=]*= Reason\.(\w+)", re.M | re.S
    )
    for path in python_files(*PACKAGES):
        for error, member in carries.findall(text_of(path)):
            found[Reason[member].value].add(error)
    return found


def test_every_reason_leads_to_the_code_that_decides_it() -> None:
    rows = cells(LAYOUT)
    begin = next(i for i, row in enumerate(rows) if row[0] == "reasons")
    where = {
        name: re.findall(r"`([\w/.]+)`", row[1])
        for row in rows[begin + 1 :]
        for name in row[0].split(", ")
    }
    names = {reason.value for reason in Reason}
    wrong = [(LAYOUT, f"{name} is missing") for name in sorted(names - where.keys())]
    assert where.keys() <= names
    named = spellings()
    for name, paths in where.items():
        files = [file for path in paths for file in tracked(path) if file.suffix == ".py"]
        if not any(re.search(rf"\b({'|'.join(named[name])})\b", text_of(file)) for file in files):
            wrong.append((LAYOUT, f"{name} is not in {', '.join(paths)}"))
    assert wrong == []


def test_paths_in_pages_exist() -> None:
    """Decision records are history, and may name files that have moved since."""
    found = []
    tops = r"(?:sdk|operator|images|tests|charts|crds|examples)/"
    for page in tracked("docs", "README.md", "CONTRIBUTING.md"):
        if page.suffix != ".md" or page.is_relative_to("docs/contributing/decisions"):
            continue
        for path in re.findall(rf"`({tops}[\w./-]*)`", text_of(page)):
            if not (ROOT / path).exists():
                found.append((page, f"no {path}"))
    rounds = Path("docs/concepts/life-of-a-round.md")
    runtime = ROOT / "images/runtime/fedjob_runtime"
    for row in cells(rounds):
        for path in re.findall(r"`([\w/]+\.py)`", row[-1]):
            folders = (runtime, runtime / "server", ROOT)
            if not any((folder / path).is_file() for folder in folders):
                found.append((rounds, f"no {path}"))
    assert found == []
