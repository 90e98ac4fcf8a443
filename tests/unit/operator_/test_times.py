"""Times as Kubernetes writes them."""

from __future__ import annotations

import pytest

from fedjob_operator.times import epoch, rfc3339
from support.operator_samples import (
    NOW,
)


def test_times_are_parsed_as_they_are_written() -> None:
    assert epoch(rfc3339(NOW)) == NOW
    assert epoch("2027-01-15T08:00:00.123456Z") == pytest.approx(NOW, abs=1)
    assert epoch("2027-01-15T08:00:00") == NOW
    assert epoch(None) is None
    assert epoch("never") is None
