"""The record is read back, also one that an earlier operator wrote."""

from __future__ import annotations

from fedjob_operator.resources.configmaps import record_map
from fedjob_operator.state.record import PodSlot, Record, read_record
from support.operator_samples import (
    NOW,
    a_job,
    prepared_of,
)


def test_record_is_read_back() -> None:
    record = Record(
        prepared=prepared_of(a_job()),
        server=PodSlot(ordinal=2, restarts=3, in_place=1, seen=True),
        workers={"worker-0": PodSlot(lost_at=NOW)},
        gpus=False,
        started=NOW,
    )
    assert read_record(record_map(a_job(), record)) == record
    assert read_record(None) == Record()
    assert read_record({"data": {"record.json": "{"}}) == Record()
    assert record.server.total == 4
