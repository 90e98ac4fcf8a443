"""A job for a cluster, from a job file and files of this machine."""

import hashlib

import pytest
import yaml

from fedjob.errors import InvalidInputError
from fedjob.preparation.prepared import LocalFiles
from fedjob.preparation.shipped_model import MAX_SOURCE
from fedjob.preparation.submission import submission_of
from fedjob.protocol.transfer import expected_files
from fedjob.spec.validation.parse import parse_job
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
    return submission_of(parse_job(content), LocalFiles(**files))


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


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def test_files_that_a_resource_cannot_hold_are_uploaded(tmp_path, shards):
    folder = tmp_path / "code"
    (folder / "pkg").mkdir(parents=True)
    source = (NET + "#" * MAX_SOURCE).encode()
    (folder / "model_def.py").write_bytes(source)
    (folder / "weights.bin").write_bytes(b"\xff\xfe\x00")
    (folder / "pkg" / "vocabulary.txt").write_text("x" * 140_000)
    (folder / "small.txt").write_text("small")
    found = made(text(), shards=shards, model_file=folder)
    model = found.manifest["spec"]["model"]
    assert model["source"] == {"upload": {"sha256": sha256(source), "size": len(source)}}
    assert model["files"] == [{"path": "small.txt", "text": "small"}]
    assert [(each["path"], each["size"]) for each in model["upload"]["files"]] == [
        ("pkg/vocabulary.txt", 140_000), ("weights.bin", 3),
    ]  # fmt: skip
    assert found.files == {
        "model/model_def.py": source,
        "model/files/weights.bin": b"\xff\xfe\x00",
        "model/files/pkg/vocabulary.txt": b"x" * 140_000,
        "shards/a.zip": shards / "a.zip", "shards/b.zip": shards / "b.zip",
    }  # fmt: skip
    assert set(found.files) == {file.path for file in expected_files(found.job.spec)}


def test_attached_files_are_uploaded_with_a_model_of_the_resource(tmp_path, shards):
    found = made(text(), shards=shards, attached={"a.bin": b"\xff"})
    assert found.files["model/files/a.bin"] == b"\xff"
    assert found.manifest["spec"]["model"]["source"] == {"inline": NET}


def test_local_checkpoint_is_uploaded_in_place_of_that_of_the_job(tmp_path):
    path = tmp_path / "first.safetensors"
    path.write_bytes(b"weights")
    content = text(
        shards={"uri": "s3://bucket/x/"},
        model={"className": "Net", "source": {"uri": "s3://bucket/net.py"},
               "checkpoint": "s3://bucket/first.pt"},
    )  # fmt: skip
    found = made(content, base=tmp_path, checkpoint=path)
    assert found.manifest["spec"]["model"] == {
        "className": "Net", "source": {"uri": "s3://bucket/net.py"},
        "upload": {
            "checkpoint": {"suffix": ".safetensors", "sha256": sha256(b"weights"), "size": 7}
        },
    }  # fmt: skip
    assert found.files == {"model/checkpoint.safetensors": path}


def test_local_checkpoint_is_checked_with_everything_else(tmp_path, shards):
    (shards / "b.zip").write_bytes(b"no zip")
    with pytest.raises(InvalidInputError) as error:
        made(text(), shards=shards, checkpoint=tmp_path / "nowhere.pt")
    assert "nowhere.pt is not a file" in str(error.value)
    assert "b.zip" in str(error.value)
    (tmp_path / "first.onnx").write_bytes(b"")
    with pytest.raises(InvalidInputError, match="another ending"):
        made(text(), shards=shards, checkpoint=tmp_path / "first.onnx")


def test_job_that_names_uploads_is_submitted_as_it_is(tmp_path):
    """As `kubectl get -o yaml` gives it; the files may be in the store already."""
    announced = {"sha256": "0" * 64, "size": 1}
    model = {
        "className": "Net", "source": {"inline": NET},
        "upload": {"checkpoint": {"suffix": ".pt", **announced},
                   "files": [{"path": "a.bin", **announced}]},
    }  # fmt: skip
    content = text(shards={"uri": "s3://bucket/x/"}, model=model)
    found = made(content, base=tmp_path)
    assert found.files == {}
    assert found.manifest == yaml.safe_load(content)


def test_more_files_than_a_job_names_are_refused(tmp_path, shards):
    with pytest.raises(InvalidInputError, match="1001 files do not fit"):
        made(text(), shards=shards, attached={f"{n}.bin": b"\xff" for n in range(1001)})
