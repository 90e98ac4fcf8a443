"""A model on its way to a cluster: what is text, and what is uploaded."""

import hashlib

from fedjob.preparation.fault_list import FaultList
from fedjob.preparation.model_files import LocalModel
from fedjob.preparation.shipped_model import shipped_model
from fedjob.spec.validation.parse import parse_object
from fedjob.workspace.source.decode import text_source
from support.spec.sample_job import job

TEXT = "x = 1\n"


def announced(content):
    return {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}


def made(changes, files=None, checkpoint=None):
    faults = FaultList()
    model = None
    if files is not None:
        model = LocalModel(text_source(TEXT, "m.py"), "m.py", files)
    found = shipped_model(parse_object(job(changes)), model, checkpoint, faults)
    faults.check()
    return found


def test_files_elsewhere_stay_and_those_of_this_machine_replace_their_namesakes():
    uri = {"path": "data", "uri": "s3://bucket/data/"}
    old = {"path": "a.txt", "uri": "s3://bucket/a.txt"}
    sent = {"path": "old.bin", **announced(b"old")}
    found = made(
        {"spec.model.files": [uri, old], "spec.model.upload.files": [sent]},
        files={"a.txt": b"new", "b.bin": b"\xff"},
    )
    assert found.fields["files"] == [uri, {"path": "a.txt", "text": "new"}]
    assert found.fields["upload"]["files"] == [sent, {"path": "b.bin", **announced(b"\xff")}]
    assert found.files == {"model/files/b.bin": b"\xff"}


def test_items_of_the_resource_are_bounded_with_what_is_elsewhere():
    elsewhere = [{"path": f"{n}", "uri": f"s3://bucket/{n}/"} for n in range(60)]
    found = made({"spec.model.files": elsewhere}, files={f"{n}.txt": b"t" for n in range(70, 80)})
    assert len(found.fields["files"]) == 64
    assert len(found.files) == 6


def test_checkpoint_alone_leaves_the_model_as_it_is(tmp_path):
    path = tmp_path / "first.bin"
    path.write_bytes(b"weights")
    changes = {"spec.model.checkpoint": "s3://bucket/c.pt", "spec.model.files": [
        {"path": "a.txt", "text": "kept"}
    ]}  # fmt: skip
    found = made(changes, checkpoint=path)
    assert found.fields["files"] == [{"path": "a.txt", "text": "kept"}]
    assert "checkpoint" not in found.fields
    assert found.fields["upload"] == {"checkpoint": {"suffix": ".bin", **announced(b"weights")}}
    assert found.files == {"model/checkpoint.bin": path}
