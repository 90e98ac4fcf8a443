"""Numbers as text."""

from __future__ import annotations

import pytest

from fedjob.report import number_format


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0, "0"),
        (0.95714, "0.9571"),
        (1.0, "1.000"),
        (12.3456, "12.35"),
        (-123456.7, "-123,457"),
        (0.00002, "2e-05"),
        (2.5e9, "2.5e+09"),
    ],
)
def test_figure(value: float, expected: str) -> None:
    assert number_format.figure(value) == expected


def test_ranges_and_cut() -> None:
    assert number_format.ranges([3, 1, 2, 7, 5, 8]) == "1\u20133, 5, 7, 8"
    assert number_format.ranges(range(0, 100, 2)).endswith(", 22 and 38 more")


def test_short_marks_what_was_cut() -> None:
    assert number_format.short("abc", 3) == "abc"
    assert number_format.short("abcd", 3) == "ab…"


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 rounds"), (1, "1 round"), (1200, "1,200 rounds")]
)
def test_plural(number: int, text: str) -> None:
    assert number_format.plural(number, "round") == text
