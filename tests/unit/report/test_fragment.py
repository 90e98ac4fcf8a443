"""A run as a piece of HTML that changes nothing around it."""

import re

from fedjob.report.fragment import ClientRow, RunView, fragment
from fedjob.report.page import resource

VIEW = RunView(name="digits", state="Training", facts=("round 1/2",), percent=50)


def test_style_applies_to_the_fragment_only():
    css = re.sub(r"\{[^}]*\}", "{}", resource("fragment.css"))
    selectors = [part.strip() for rule in css.split("{}") for part in rule.split(",")]
    assert [s for s in selectors if s and not s.startswith(".fedjob-run")] == []


def test_names_are_escaped_and_odd_values_left_out():
    view = RunView(name="<i>", state="x", clients=(ClientRow(name="&", title='"'),), message="\x00")
    page = fragment(view, {1: {"loss": None}, 2: {"loss": float("inf")}})
    assert "&lt;i&gt;" in page
    assert "\x00" not in page
    assert "<svg" not in page, "there is nothing to draw"


def test_curves_are_the_reports():
    page = fragment(VIEW, {1: {"val_loss": 2.0, "accuracy": 0.5}, 2: {"val_loss": 1.0}})
    assert page.count("<figure>") == 2
    assert "val_loss: 2.000 in round 1, 1.000 in round 2" in page
    assert "stroke" in page


def test_bar_and_clients_are_left_out_where_there_are_none():
    page = fragment(RunView(name="x", state="y"), {})
    assert "progressbar" not in page
    assert "<table" not in page
