"""What a run was submitted with is read back whole, and its files are checked."""

import hashlib

import pytest

from fedjob.engines.local.run_folder import RunFolder
from fedjob.engines.local.submission import keep_submission, kept_submission
from fedjob.errors import InvalidInputError
from fedjob.preparation.prepared import LocalShard, PreparedRun
from fedjob.spec import FederatedJob
from fedjob.workspace.job_folder import write_job_folder
from fedjob.workspace.requirements.lines import parse_requirement

JOB = FederatedJob.model_validate(
    {"metadata": {"name": "digits"}, "spec": {"model": {"source": {"inline": "x = 1"}}}}
)
FILES = {"meta.json": b"{}", "app/config/a.json": b"{}", "app/custom/data.bin": b"\xff"}


def shard(folder, name):
    path = folder / name
    path.write_bytes(name.encode())
    return LocalShard(name, path, 3, hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.fixture
def prepared(tmp_path):
    first = tmp_path / "first.pt"
    first.write_bytes(b"weights")
    return PreparedRun(
        job=JOB,
        num_classes=3,
        shards=(shard(tmp_path, "a.zip"), shard(tmp_path, "b.zip")),
        validation=shard(tmp_path, "v.zip"),
        checkpoint=first,
        job_files=FILES,
        digests={"checkpoint": hashlib.sha256(b"weights").hexdigest(), "model file": "0"},
        requirements=(parse_requirement("einops>=0.8", "requirements"),),
        python_path=(tmp_path / "packages",),
    )


@pytest.fixture
def folder(tmp_path, prepared):
    folder = RunFolder.at(tmp_path / "out")
    write_job_folder(FILES, folder.job)
    keep_submission(folder, prepared)
    return folder


def test_submission_survives_its_file(folder, prepared):
    assert kept_submission(folder) == prepared


def test_files_that_changed_are_named_all_at_once(folder, tmp_path):
    (tmp_path / "a.zip").write_bytes(b"other")
    (tmp_path / "v.zip").unlink()
    (tmp_path / "first.pt").write_bytes(b"others")
    with pytest.raises(InvalidInputError) as caught:
        kept_submission(folder)
    text = str(caught.value)
    assert "a.zip: is not the file that the run began with" in text
    assert "v.zip: is not there any more" in text
    assert "first.pt: is not the file" in text


def test_folder_without_a_run_cannot_be_resumed(tmp_path):
    with pytest.raises(InvalidInputError, match="no run that can be resumed"):
        kept_submission(RunFolder.at(tmp_path / "other"))
