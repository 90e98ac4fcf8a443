"""A job as data: read, checked, written, built."""

import pytest

import fedjob
from fedjob.client.job import FederatedJob
from support.sdk.models import MODEL_DEF, write_model


def test_job_file_with_a_model_file(tmp_path, shards):
    write_model(tmp_path / "model")
    text = (
        "apiVersion: fedjob.dev/v1alpha1\nkind: FederatedJob\nmetadata: {name: digits}\n"
        "spec:\n  model: {source: {uri: s3://bucket/model_def.py}, className: Net}\n"
        "  training: {numClasses: 2}\n"
    )
    path = tmp_path / "job.yaml"
    path.write_text(text)
    job = FederatedJob.read(path, model_file=tmp_path / "model")
    assert job.spec.model.source.inline == MODEL_DEF
    assert job.spec.model.source.uri is None
    assert job.validate(shards=shards).workers == {
        "worker-0": "site-a.zip",
        "worker-1": "site-b.zip",
    }
    assert sorted(job.prepared().workers) == ["worker-0", "worker-1"], "shards/ beside the file"
    with pytest.raises(fedjob.InvalidJobError, match="model_file=FILE"):
        FederatedJob.read(path).validate()


def test_file_that_is_no_job_is_refused(tmp_path):
    with pytest.raises(fedjob.InvalidJobError, match="No such file"):
        FederatedJob.read(tmp_path / "job.yaml")
    (tmp_path / "job.yaml").write_bytes(b"\xff")
    with pytest.raises(fedjob.InvalidJobError, match="not UTF-8"):
        FederatedJob.read(tmp_path / "job.yaml")
    with pytest.raises(fedjob.InvalidJobError, match=r"here\.yaml: is empty"):
        FederatedJob.from_yaml("", source="here.yaml")


def test_faults_of_code_and_shards_come_together(model, tmp_path):
    job = fedjob.from_model(model).with_code("class Other: pass\n", {})
    with pytest.raises(fedjob.InvalidJobError) as caught:
        job.validate(shards=tmp_path / "nowhere")
    text = str(caught.value)
    assert "has no class Net" in text
    assert "shards: " in text
    assert "--" not in text, "Python's names, not the command line's"
    with pytest.raises(fedjob.InvalidJobError, match="has no class Net"):
        job.validate()


def test_validation_says_what_it_found(job, shards):
    check = job.validate(shards)
    assert (check.num_classes, check.samples) == (2, {"worker-0": None, "worker-1": None})


def test_built_folder_has_everything_and_nothing_ran(job, shards, tmp_path):
    """Row 35."""
    folder = job.build(tmp_path / "job", shards=shards)
    custom = folder / "app" / "custom"
    assert (custom / "model_def.py").read_text() == MODEL_DEF
    assert (custom / "scaling.py").is_file()
    assert FederatedJob.read(folder / "job.yaml") == job
    again = job.build(folder, shards=shards)
    assert again == folder, "an older job folder is replaced"
    with pytest.raises(fedjob.InvalidJobError, match="name a new or empty folder"):
        job.build(tmp_path, shards=shards)


def test_files_that_yaml_cannot_hold_travel_with_the_job(model, shards, tmp_path):
    first = tmp_path / "first.safetensors"
    first.write_bytes(b"w")
    job = fedjob.from_model(
        model, training={"num_classes": 2}, files={"a.bin": b"\xff"}, checkpoint=first
    )
    with pytest.raises(fedjob.InvalidJobError) as caught:
        job.to_yaml()
    assert [fault.field for fault in caught.value.faults] == ["files: a.bin", "checkpoint"]
    prepared = job.prepared(shards)
    assert prepared.job_files["app/custom/a.bin"] == b"\xff"
    assert prepared.checkpoint == first
    copy = job.model_copy(deep=True)
    assert copy.attached == job.attached
    assert (job.build(tmp_path / "job", shards=shards) / "app/custom/a.bin").read_bytes() == b"\xff"


def test_code_is_checked_without_shards_also_where_weights_are_in_s3(model):
    """Only a run on this machine cannot read them."""
    assert fedjob.from_model(model, checkpoint="s3://bucket/a.pt").validate().hints == ()


def test_hints_name_pythons_arguments(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "beside.py").write_text("x = 1\n")
    job = fedjob.from_model(model)
    job = job.with_code(
        f"import beside\n{job.spec.model.source.inline}", {"scaling.py": b"SCALE=1"}
    )
    (hint,) = job.validate().hints
    assert "model_file=DIR" in hint
