"""The job's file, and the files beside it."""

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from fedjob.cli.options import local_files, read_job_text
from fedjob.errors import InvalidInputError


def test_the_file_is_read_and_names_itself(tmp_path):
    path = tmp_path / "job.yaml"
    path.write_text("kind: é", encoding="utf-8")
    assert read_job_text(str(path)) == ("kind: é", str(path))


def test_a_dash_reads_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO("a: é".encode())))
    assert read_job_text("-") == ("a: é", "stdin")


@pytest.mark.parametrize(
    ("content", "problem"), [(b"\xff\xfe", "is not UTF-8 text"), (None, "cannot be read: No such")]
)
def test_what_cannot_be_read_is_a_fault_of_the_file(tmp_path, content, problem):
    path = tmp_path / "job.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidInputError) as caught:
        read_job_text(str(path))
    (fault,) = caught.value.faults
    assert fault.field == str(path)
    assert fault.problem.startswith(problem)


def test_shards_are_looked_for_beside_the_file():
    assert local_files("jobs/a.yaml", None, None, None).base == Path("jobs")
    assert local_files("-", None, None, None).base == Path()
