"""The model file and its neighbours, as the command line and the job give them."""

import json

import pytest

from fedjob.preparation.fault_list import FaultList
from fedjob.preparation.model_files import read_local_model
from fedjob.preparation.prepared import LocalFiles
from fedjob.spec.validation.parse import parse_job

NET = "import torch.nn as nn\nclass Net(nn.Module): pass\n"


def read(folder, model_file=None, source=None, files=(), upload=None):
    model = {"source": source or {"inline": NET}, "className": "Net", "files": list(files)}
    model |= {"upload": upload} if upload else {}
    resource = {
        "apiVersion": "fedjob.dev/v1alpha1",
        "kind": "FederatedJob",
        "metadata": {"name": "digits"},
        "spec": {"model": model},
    }
    faults = FaultList()
    given = LocalFiles(folder, model_file=model_file)
    job = parse_job(json.dumps(resource), "job")
    found = read_local_model(job, given, faults, folder / "shards")
    return found, [str(fault) for fault in faults._faults]


def test_the_folder_of_the_command_line_comes_before_the_jobs_own_texts(tmp_path):
    (tmp_path / "model_def.py").write_text(NET)
    (tmp_path / "a.py").write_text("A = 2")
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards/a.zip").write_bytes(b"")
    files = [{"path": "a.py", "text": "A = 1"}, {"path": "b.py", "text": "B = 1"}]
    found, faults = read(tmp_path, tmp_path, files=files)
    assert faults == []
    assert found.files == {"a.py": b"A = 2", "b.py": b"B = 1"}
    assert found.source.content == NET.encode()


def test_an_archive_for_the_root_is_given_by_a_folder(tmp_path):
    (tmp_path / "model_def.py").write_text(NET)
    files = [{"path": ".", "uri": "s3://bucket/code.zip"}]
    assert read(tmp_path, tmp_path, files=files)[1] == []
    _, (fault,) = read(tmp_path, tmp_path / "model_def.py", files=files)
    assert fault.startswith("spec.model.files[0].uri: . is in S3")


def test_a_file_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    path = tmp_path / "net.py"
    path.write_text(NET)

    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.read_bytes", refuse)
    found, (fault,) = read(tmp_path, path)
    assert found is None
    assert fault == f"--model-file: {path}: Permission denied; give the path of model_def.py"


@pytest.mark.parametrize(
    ("inline", "problem"),
    [("# coding: ascii\nx = '\u00e9'\n", "declares the encoding"), ("# coding: no\n", "unknown")],
)
def test_an_inline_text_that_cannot_be_encoded_is_a_fault(tmp_path, inline, problem):
    found, (fault,) = read(tmp_path, source={"inline": inline})
    assert found is None
    assert problem in fault


def test_files_that_cannot_be_shipped_are_faults(tmp_path):
    _, (fault,) = read(tmp_path, files=[{"path": "random.py", "text": ""}])
    assert "spec.model.files: module random would hide Python's own module" in fault


def test_uploaded_files_are_asked_for_on_this_machine(tmp_path):
    announced = {"sha256": "0" * 64, "size": 1}
    _, (fault,) = read(tmp_path, upload={"files": [{"path": "a.bin", **announced}]})
    assert fault == (
        "spec.model.upload.files[0]: a.bin is a file of the job's author; give the folder that "
        "holds it: --model-file DIR"
    )
    found, (fault,) = read(tmp_path, source={"upload": announced})
    assert found is None
    assert fault.startswith("spec.model.source.upload: is a file of the job's author; give the")
