"""Times, durations and sizes as text."""

from __future__ import annotations

import pytest

from fedjob.formats import duration, epoch, rfc3339, size

NOW = 1_800_000_000.0


def test_times_are_parsed_as_they_are_written() -> None:
    assert epoch(rfc3339(NOW)) == NOW
    assert epoch(rfc3339(NOW + 0.25, "milliseconds")) == NOW + 0.25
    assert epoch("2027-01-15T08:00:00.123456Z") == pytest.approx(NOW, abs=1)
    assert epoch("2027-01-15T08:00:00") == NOW
    assert epoch(None) is None
    assert epoch("never") is None


def test_times_are_written_in_utc_as_kubernetes_has_them() -> None:
    assert rfc3339(NOW + 0.999) == "2027-01-15T08:00:00Z"
    assert rfc3339(NOW + 0.25, "milliseconds") == "2027-01-15T08:00:00.250Z"
    assert rfc3339(NOW, "microseconds") == "2027-01-15T08:00:00.000000Z"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (-1, "0.00 s"),
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
def test_duration(value: float, expected: str) -> None:
    assert duration(value) == expected


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
    assert size(value) == expected
