"""JSON that takes too much when it is parsed is refused before."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from fedjob.protocol import status_poll
from fedjob.protocol.bounded_json import MOST_VALUES, has_too_many_values
from fedjob.protocol.server_status import ServerStatus


def test_values_are_counted_without_parsing() -> None:
    assert not has_too_many_values('{"a": [1, 2]}', 4)
    assert has_too_many_values(b'{"a": [1, 2, 3]}', 3)
    assert not has_too_many_values("")


@pytest.mark.parametrize("field", ["history", "clients", "failures", "events"])
def test_status_of_many_bad_entries_ends_at_the_first(field: str) -> None:
    """Each refused entry would take 2 KB: 3.8 GB for the 4 MiB that a status may have."""
    body = f'{{"{field}":[{"{}," * 1000}{{}}]}}'
    with pytest.raises(ValidationError) as caught:
        ServerStatus.model_validate_json(body)
    assert caught.value.error_count() < 20


def test_status_of_too_many_values_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ServerStatus, "model_validate_json", lambda _: pytest.fail("parsed"))
    assert status_poll.parse(f'{{"unknown":[{"{}," * MOST_VALUES}{{}}]}}') is None


def test_status_within_the_bound_is_read() -> None:
    status = ServerStatus(attempt=1, completed=1, total=2)
    assert status_poll.parse(status.model_dump_json(by_alias=True)) == status
