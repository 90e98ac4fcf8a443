"""A job for a cluster, from a job file and files of this machine."""

import hashlib

import pytest
import yaml

from fedjob.errors import InvalidInputError
from fedjob.preparation.prepared import LocalFiles
from fedjob.preparation.submission import MAX_SOURCE, submission_of_text
from support.workspace.shard_zips import GOOD, zipped

NET = (
    "from torch import nn\n\n\nclass Net(nn.Module):\n    def forward(self, x):\n        return x\n"
)


@pytest.fixture
def shards(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("a.zip", "b.zip"):
        (folder / name).write_bytes(zipped(GOOD))
    return folder


def text(metadata=None, **spec):
    model = {"className": "Net", "source": {"inline": NET}}
    return yaml.safe_dump({
        "apiVersion": "fedjob.dev/v1alpha1", "kind": "FederatedJob",
        "metadata": {"name": "digits", **(metadata or {})},
        "spec": {"model": model, "training": {"numClasses": 3}, **spec},
    })  # fmt: skip


def made(content, **files):
    return submission_of_text(content, "job.yaml", LocalFiles(**files))


def test_shards_become_uploads_with_their_digests(shards, tmp_path):
    found = made(text(), base=tmp_path, shards=shards)
    uploads = found.manifest["spec"]["shards"]["upload"]["files"]
    assert [each["name"] for each in uploads] == ["a.zip", "b.zip"]
    data = (shards / "a.zip").read_bytes()
    assert uploads[0]["sha256"] == hashlib.sha256(data).hexdigest()
    assert uploads[0]["size"] == len(data)
    assert found.files == {"shards/a.zip": shards / "a.zip", "shards/b.zip": shards / "b.zip"}


def test_shards_of_the_option_stand_for_a_prefix(shards, tmp_path):
    found = made(text(shards={"uri": "s3://bucket/x/", "validation": "b.zip"}), shards=shards)
    assert set(found.manifest["spec"]["shards"]) == {"upload", "validation"}


def test_shards_folder_beside_the_file_is_taken(tmp_path, shards):
    shards.rename(tmp_path / "shards")
    assert len(made(text(), base=tmp_path).files) == 2


def test_what_is_in_s3_stays_there(tmp_path):
    content = text(
        shards={"uri": "s3://bucket/x/"},
        model={"className": "Net", "source": {"uri": "s3://bucket/net.py"},
               "checkpoint": "s3://bucket/first.safetensors"},
    )  # fmt: skip
    found = made(content, base=tmp_path)
    assert found.files == {}
    assert found.manifest["spec"]["shards"] == {"uri": "s3://bucket/x/"}
    assert found.manifest["spec"]["model"]["checkpoint"] == "s3://bucket/first.safetensors"


def test_manifest_has_what_was_written_and_no_defaults(tmp_path):
    content = text({"labels": {"team": "x"}}, shards={"uri": "s3://bucket/x/"})
    found = made(content, base=tmp_path)
    assert found.manifest == yaml.safe_load(content)
    assert found.namespace is None
    assert made(text({"namespace": "mine"}), base=tmp_path).namespace == "mine"


def test_suspended_job_with_a_checkpoint_in_s3_is_checked_whole(shards):
    content = text(
        runPolicy={"suspend": True},
        model={"className": "Net", "source": {"inline": NET}, "checkpoint": "s3://bucket/c.pt"},
    )
    found = made(content, shards=shards)
    assert found.manifest["spec"]["runPolicy"] == {"suspend": True}


def test_faults_of_model_and_shards_are_reported_together(shards):
    broken = text(model={"className": "Net", "source": {"inline": "class Net(nn.Module): ..."}})
    (shards / "b.zip").write_bytes(b"no zip")
    with pytest.raises(InvalidInputError) as error:
        made(broken, shards=shards)
    shown = str(error.value)
    assert "b.zip" in shown
    assert "import torch.nn as nn" in shown


def test_model_is_checked_without_shards(tmp_path):
    broken = text(
        shards={"uri": "s3://bucket/x/"},
        model={"className": "Net", "source": {"inline": "class Net(nn.Module): ..."}},
    )
    with pytest.raises(InvalidInputError, match=r"import torch\.nn as nn"):
        made(broken, base=tmp_path)


def test_shards_are_checked_without_a_model(shards):
    content = text(model={"className": "Net", "source": {"uri": "s3://bucket/net.py"}})
    (shards / "b.zip").write_bytes(b"no zip")
    with pytest.raises(InvalidInputError, match=r"b\.zip"):
        made(content, shards=shards)


def test_model_file_and_its_neighbours_travel_as_text(tmp_path, shards):
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "model_def.py").write_text(f"import losses\n{NET}")
    (folder / "losses.py").write_text("WEIGHT = 1\n")
    content = text(model={"className": "Net", "source": {"uri": "s3://bucket/old.py"},
                          "files": [{"path": "losses.py", "text": "old"},
                                    {"path": "other.txt", "text": "kept"}]})  # fmt: skip
    model = made(content, shards=shards, model_file=folder).manifest["spec"]["model"]
    assert model["source"] == {"inline": f"import losses\n{NET}"}
    assert {each["path"]: each["text"] for each in model["files"]} == {
        "losses.py": "WEIGHT = 1\n", "other.txt": "kept",
    }  # fmt: skip


def test_files_that_a_resource_cannot_hold_are_named(tmp_path, shards):
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "model_def.py").write_text(NET + "#" * MAX_SOURCE)
    (folder / "weights.bin").write_bytes(b"\xff\xfe\x00")
    (folder / "vocabulary.txt").write_text("x" * 140_000)
    with pytest.raises(InvalidInputError) as error:
        made(text(), shards=shards, model_file=folder)
    shown = str(error.value)
    assert "a job holds 262,144" in shown
    assert "weights.bin is not text" in shown
    assert "a job holds 131,072" in shown


def test_local_checkpoint_is_refused_with_a_way_out(tmp_path, shards):
    path = tmp_path / "first.safetensors"
    path.write_bytes(b"")
    with pytest.raises(InvalidInputError, match="put it in S3"):
        made(text(), shards=shards, checkpoint=path)
