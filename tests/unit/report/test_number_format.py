"""Numbers as text."""

from __future__ import annotations

import pytest

from fedjob.report import number_format


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0.00 s"),
        (9.994, "9.99 s"),
        (9.996, "10.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (245, "4 min 05 s"),
        (3599.6, "1 h 00 min"),
        (7380, "2 h 03 min"),
        (273_600, "3 d 04 h"),
    ],
)
def test_seconds(value: float, expected: str) -> None:
    assert number_format.seconds(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (41904, "41.9 KB"),
        (999_600, "1 MB"),
        (3_100_000_000, "3.1 GB"),
        (10**19, "1e+04 PB"),
    ],
)
def test_size(value: int, expected: str) -> None:
    assert number_format.size(value) == expected


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
