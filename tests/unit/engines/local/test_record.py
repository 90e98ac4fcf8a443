"""A folder resumes its own run only."""

import pytest

from fedjob.engines.local.record import check_same, read_record, record_of
from fedjob.errors import InvalidInputError
from fedjob.spec import FederatedJob

FILES = {"model file": "a" * 64, "checkpoint": None, "shard one.zip": "b" * 64}


def job(**spec):
    base = {"model": {"source": {"inline": "class Net: ..."}, "className": "Net"}}
    return FederatedJob.model_validate({"metadata": {"name": "digits"}, "spec": base | spec})


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"federation": {"numRounds": 9}},
        {"federation": {"waitTimeAfterMinReceived": 0, "heartBeatTimeout": 5, "roundTimeout": 7}},
        {"runPolicy": {"activeDeadlineSeconds": 9}},
        {"workers": {"gpu": 0, "maxRestarts": 9}},
        {"storage": {"bucket": "other"}},
    ],
)
def test_more_rounds_and_other_timing_go_on(tmp_path, spec):
    check_same(record_of(job(), FILES), record_of(job(**spec), FILES), tmp_path)


@pytest.mark.parametrize(
    ("spec", "files", "field", "problem"),
    [
        ({"federation": {"numRounds": 4}}, {}, "spec.federation.numRounds", "is 4, but"),
        ({"training": {"learningRate": 0.5}}, {}, "spec.training.learningRate", "is 0.5, but"),
        ({"training": {"extra": {"a": 1}}}, {}, "spec.training.extra.a", "was not there"),
        ({}, {"model file": "c" * 64}, "model file", "is not the file"),
        ({}, {"shard one.zip": "c" * 64}, "shard one.zip", "is not the file"),
        ({}, {"shard one.zip": None}, "shard one.zip", "was there"),
        ({}, {"checkpoint": "c" * 64}, "checkpoint", "was not there"),
    ],
)
def test_another_job_is_refused_with_a_way_out(tmp_path, spec, files, field, problem):
    with pytest.raises(InvalidInputError) as caught:
        check_same(record_of(job(), FILES), record_of(job(**spec), FILES | files), tmp_path)
    faults = {fault.field: fault for fault in caught.value.faults}
    assert field in faults
    assert problem in faults[field].problem
    assert "--fresh" in faults[field].fix
    assert "--out" in faults[field].fix


def test_a_record_survives_its_file(tmp_path):
    record = record_of(job(), FILES)
    record.write(tmp_path / "run.json")
    assert read_record(tmp_path / "run.json") == record
    assert read_record(tmp_path / "absent.json") is None
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(InvalidInputError, match="--fresh"):
        read_record(tmp_path / "run.json")
