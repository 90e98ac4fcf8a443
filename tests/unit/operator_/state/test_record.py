"""The record is read back, also one that an earlier operator wrote."""

from __future__ import annotations

import json

import pytest

from fedjob_operator.resources.configmaps import record_map
from fedjob_operator.state.record import (
    Failure,
    PodSlot,
    Prepared,
    PreparedImage,
    Record,
    Result,
    ShardPlace,
    read_record,
)
from support.operator.samples import (
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


WRITTEN_BEFORE_THE_RENAMES = """{"prepared":{"madeFrom":"0123456789abcdef","numClasses":10,
"workers":[{"name":"s0.zip","bucket":"jobs","key":"shards/s0.zip"}],"workspace":"cc",
"image":{"reference":"r","digest":"sha256:aa","cacheHit":false,"seconds":0.5,"madeFrom":"bb"}},
"server":{"ordinal":2,"seen":true,"restarts":3,"inPlace":1,"excused":2,"streak":1,
"lostAt":1800000000.0,"going":"Evicted","causes":{"Deleted":3,"Exited":1},"born":1799999999.0,
"atCommit":2,"commitAttempt":5},"workers":{"worker-0":{"going":"NodeLost"}},"gpus":false,
"started":1800000000.0,"failure":{"reason":"OutOfMemory","message":"m","spec":"ee","time":1.0,
"settled":true},"result":{"round":5,"key":"m","sha256":"dd","size":7,"time":2.0}}"""


def test_record_of_an_earlier_operator_is_read() -> None:
    record = read_record({"data": {"record.json": WRITTEN_BEFORE_THE_RENAMES}})
    assert record == Record(
        prepared=Prepared(
            made_from="0123456789abcdef",
            num_classes=10,
            workers=[ShardPlace(name="s0.zip", bucket="jobs", key="shards/s0.zip")],
            workspace="cc",
            image=PreparedImage(
                reference="r", digest="sha256:aa", cache_hit=False, seconds=0.5, made_from="bb"
            ),
        ),
        server=PodSlot(
            ordinal=2,
            seen=True,
            restarts=3,
            in_place=1,
            excused=2,
            streak=1,
            lost_at=NOW,
            disruption="Evicted",
            causes={"Deleted": 3, "Exited": 1},
            born=NOW - 1,
            at_commit=2,
            commit_attempt=5,
        ),
        workers={"worker-0": PodSlot(disruption="NodeLost")},
        gpus=False,
        started=NOW,
        failure=Failure(reason="OutOfMemory", message="m", spec="ee", time=1.0, settled=True),
        result=Result(round=5, key="m", sha256="dd", size=7, time=2.0),
    )


def test_renamed_field_is_written_under_its_new_name() -> None:
    body = record_map(a_job(), Record(server=PodSlot(disruption="Evicted")))
    assert json.loads(body["data"]["record.json"]) == {"server": {"disruption": "Evicted"}}
    assert read_record(body).server.disruption == "Evicted"


@pytest.mark.parametrize(
    ("slot", "restarted"),
    [(PodSlot(), False), (PodSlot(lost_at=NOW), True), (PodSlot(in_place=1), True)],
)
def test_slot_knows_whether_its_pod_was_restarted(slot: PodSlot, *, restarted: bool) -> None:
    assert slot.restarted is restarted


def test_fields_of_a_newer_operator_are_ignored() -> None:
    assert read_record({"data": {"record.json": '{"future": 1, "started": 2}'}}).started == 2
