"""Metrics as text."""

import pytest

from fedjob.metric_text import in_order, number, sparkline


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ([], ""),
        ([None, float("nan")], ""),
        ([1, 2, 3], "▁▅█"),
        ([2, 2], "▄▄"),
        ([0, None, 1], "▁ █"),
        (list(range(100)), "▁▁▂▂▂▂▃▃▃▃▄▄▅▅▅▆▆▆▆▇▇▇██"),
    ],
)
def test_sparkline(values, line):
    assert len(sparkline(values)) == len(line)
    if len(values) < 10:
        assert sparkline(values) == line
    elif line:
        assert sparkline(values)[0] == "▁"
        assert sparkline(values)[-1] == "█"


def test_numbers():
    assert [number(v) for v in (0.123456, None, float("inf"), 12345.6)] == [
        "0.1235",
        "-",
        "-",
        "1.235e+04",
    ]


def test_known_metrics_come_first():
    assert in_order({"zeta", "loss", "alpha", "val_accuracy"}) == [
        "val_accuracy",
        "loss",
        "alpha",
        "zeta",
    ]
    assert in_order({"b", "a", "loss"}, 2) == ["loss", "a"]
