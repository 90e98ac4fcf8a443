"""The lines of one round, by the times that lines begin with."""

from datetime import UTC, datetime

import pytest

from fedjob.engines.log_lines import between, time_of

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("line", "seconds"),
    [
        ("2026-01-02T12:00:00Z text", NOON),
        ("2026-01-02T12:00:00.25Z text", NOON + 0.25),
        ("2026-01-02T14:00:00+02:00 text", NOON),
        ("2026-01-02 14:00:00,500+0200 text", NOON + 0.5),
        ("2026-13-02T12:00:00Z text", None),
        ("epoch 1: 2026-01-02T12:00:00Z", None),
        ("", None),
    ],
)
def test_time_at_the_start_of_a_line(line, seconds):
    assert time_of(line) == seconds


def test_time_without_a_zone_is_this_machines():
    local = datetime.fromtimestamp(NOON).isoformat(sep=" ")  # noqa: DTZ006 - what logging writes
    assert time_of(f"{local},123 root INFO text") == pytest.approx(NOON + 0.123)


def test_lines_without_a_time_belong_to_the_line_before():
    lines = [
        "before",
        "2026-01-02T11:59:59Z early",
        "2026-01-02T12:00:00Z begins",
        "  epoch 1 loss 0.5",
        "2026-01-02T12:00:05Z ends",
        "2026-01-02T12:00:06Z later",
        "more",
    ]
    assert list(between(lines, NOON, NOON + 5)) == lines[2:5]
    assert list(between(lines, NOON, None)) == lines[2:]
