"""First weights of this machine."""

import pytest

from fedjob.errors import InvalidInputError
from fedjob.preparation.checkpoint import CHECKPOINT_SUFFIXES, check_checkpoint, check_file
from fedjob.preparation.fault_list import FaultList
from fedjob.spec.models.upload import UploadCheckpoint
from fedjob.spec.validation.parse import parse_object
from support.spec.sample_job import job

SENT = {"suffix": ".pt", "sha256": "0" * 64, "size": 1}


def faults_of(changes, path=None):
    faults = FaultList()
    check_checkpoint(parse_object(job(changes)), path, faults)
    try:
        faults.check()
    except InvalidInputError as error:
        return [(fault.field, fault.fix) for fault in error.faults]
    return []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"spec.model.checkpoint": "s3://bucket/first.pt"}, "spec.model.checkpoint"),
        ({"spec.model.upload.checkpoint": SENT}, "spec.model.upload.checkpoint"),
    ],
)
def test_checkpoint_that_is_not_on_this_machine_is_asked_for(changes, field, tmp_path):
    assert faults_of(changes) == [(field, "give the file: --checkpoint FILE")]
    path = tmp_path / "first.pt"
    path.write_bytes(b"x")
    assert faults_of(changes, path) == []


def test_job_without_a_checkpoint_needs_none():
    assert faults_of({}) == []


def test_file_must_exist_and_end_as_weights_do(tmp_path):
    faults = FaultList()
    check_file(tmp_path / "nowhere.pt", faults)
    (tmp_path / "first.onnx").write_bytes(b"x")
    check_file(tmp_path / "first.onnx", faults)
    with pytest.raises(InvalidInputError, match=r"(?s)nowhere.pt is not a file.*another ending"):
        faults.check()


def test_endings_are_those_that_a_job_names():
    for suffix in CHECKPOINT_SUFFIXES:
        assert UploadCheckpoint.model_validate({**SENT, "suffix": suffix}).suffix == suffix
