"""Every failure reason has a page that says what to do, and every page a reason."""

from pathlib import Path

import pytest

from fedjob.reasons import Reason

ROOT = Path(__file__).parents[3]
HEADINGS = ["## What it means", "## Likely cause", "## What to do"]


def test_pages_and_reasons_match():
    pages = {path.stem for path in (ROOT / "docs/reference/reasons").glob("*.md")}
    assert pages == {reason.value for reason in Reason}


@pytest.mark.parametrize("reason", list(Reason))
def test_a_page_says_what_it_means_and_what_to_do(reason):
    text = (ROOT / reason.page).read_text()
    lines = text.splitlines()
    assert lines[0] == f"# {reason.value}"
    assert lines[2] == reason.summary
    assert [line for line in lines if line.startswith("## ")] == HEADINGS
    for heading in HEADINGS:
        body = lines[lines.index(heading) + 2]
        assert len(body) > 10 or body == "Unknown."
    assert lines[lines.index(HEADINGS[2]) + 2].startswith("- ")


@pytest.mark.parametrize("reason", list(Reason))
def test_a_reason_is_named_as_kubernetes_wants_it(reason):
    """`meta/v1.Condition`: CamelCase, at most 1024; ours fit the status field's 128."""
    assert reason.value.isalnum()
    assert reason.value[0].isupper()
    assert len(reason.value) <= 64
    assert reason.name.replace("_", "").lower() == reason.value.lower()
    assert reason.summary.endswith((".", ")."))
    assert "\n" not in reason.summary


def test_a_reason_is_its_text():
    assert Reason("OutOfMemory") is Reason.OUT_OF_MEMORY
    assert f"{Reason.OUT_OF_MEMORY}" == "OutOfMemory"
    assert Reason.OUT_OF_MEMORY == "OutOfMemory"
