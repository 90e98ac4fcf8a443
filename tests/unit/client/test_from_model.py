"""A job from a class, with everything that a caller names."""

import functools

import pytest

import fedjob
from fedjob.spec.validation.parse import parse_job
from support.sdk.models import MODEL_DEF, SCALING, write_model


def test_class_is_enough(model):
    """Row 2."""
    job = fedjob.from_model(model)
    assert job.metadata.name == "net"
    assert job.spec.model.class_name == "Net"
    assert job.spec.model.source.inline == MODEL_DEF, "the file travels whole"
    assert [(file.path, file.text) for file in job.spec.model.files] == [("scaling.py", SCALING)]
    assert job.validate().hints == ()


def test_defaults_are_the_documented_ones(model):
    """Rows 4 and 5."""
    training, federation = fedjob.from_model(model).spec.training, fedjob.FederationConfig()
    assert training.model_dump() == {
        "num_classes": 0,
        "local_epochs": 2,
        "batch_size": 32,
        "learning_rate": 0.001,
        "img_size": 224,
        "manifest_file": "manifest.ndjson",
        "extra": {},
    }
    assert (federation.num_rounds, federation.min_clients) == (5, 1)
    assert (federation.wait_time_after_min_received, federation.heart_beat_timeout) == (10, 600)
    assert federation.job_name == "rt_job"


def test_every_argument_reaches_the_resource(model, tmp_path):
    (tmp_path / "first.pt").write_bytes(b"w")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.txt").write_text("a")
    (tmp_path / "requirements.txt").write_text("einops>=0.8  # layers\n")
    job = fedjob.from_model(
        functools.partial(model, width=4),
        name="digits",
        namespace="team",
        args={"num_classes": 3},
        training=fedjob.TrainingConfig(local_epochs=3, extra={"momentum": 0.9}),
        federation={"num_rounds": 7, "min_clients": 2},
        files=[tmp_path / "data"],
        requirements=tmp_path / "requirements.txt",
        checkpoint=tmp_path / "first.pt",
        validation="v.zip",
        executor="model_def.MyExecutor",
        aggregator=fedjob.ComponentRef(path="model_def.Mean", args={"trim": 1}),
        workers={"gpu": 0},
        server=fedjob.ServerSpec(),
        storage={"bucket": "bucket"},
        run_policy=fedjob.RunPolicy(backoff_limit=1),
        annotations={"a": "b"},
        labels={"c": "d"},
    )
    spec = job.spec
    assert (job.metadata.namespace, job.metadata.annotations) == ("team", {"a": "b"})
    assert job.metadata.labels == {"c": "d"}
    assert spec.model.args == {"width": 4, "num_classes": 3}
    assert (spec.training.local_epochs, spec.training.extra) == (3, {"momentum": 0.9})
    assert (spec.federation.num_rounds, spec.federation.min_clients) == (7, 2)
    assert [file.path for file in spec.model.files] == ["data/a.txt", "scaling.py"]
    assert spec.model.requirements == ["einops>=0.8"]
    assert spec.shards.validation == "v.zip"
    assert spec.components.executor.path == "model_def.MyExecutor"
    assert spec.components.aggregator.args == {"trim": 1}
    assert (spec.workers.gpu, spec.storage.bucket, spec.run_policy.backoff_limit) == (
        0,
        "bucket",
        1,
    )
    assert job.local_files().checkpoint == tmp_path / "first.pt"


def test_yaml_is_what_kubectl_takes_and_reads_back(job):
    """Row 1."""
    text = job.to_yaml()
    assert text.startswith("apiVersion: fedjob.dev/v1alpha1\nkind: FederatedJob\n")
    assert fedjob.FederatedJob.of(parse_job(text)) == job


def test_every_fault_at_once_each_with_a_fix(model):
    with pytest.raises(fedjob.InvalidJobError) as caught:
        fedjob.from_model(
            3,
            training={"batch_size": 0, "epochs": 2},
            federation={"num_rounds": 0},
            files=["/nowhere"],
            requirements=["-r more.txt"],
        )
    fields = [fault.field for fault in caught.value.faults]
    assert fields == [
        "model",
        "files: /nowhere",
        "requirements[0]",
        "spec.training.batchSize",
        "spec.training.epochs",
        "spec.federation.numRounds",
    ]
    assert all(fault.fix for fault in caught.value.faults)


def test_nested_fields_of_a_mapping_are_checked(model):
    with pytest.raises(fedjob.InvalidJobError, match=r"spec\.workers\.gpuFallback"):
        fedjob.from_model(model, workers={"gpu_fallback": "never"})
    with pytest.raises(fedjob.InvalidJobError, match=r"spec\.storage"):
        fedjob.from_model(model, storage={"secret_ref": {"secret_name": 1}})


def test_rules_over_several_fields_are_checked(model):
    with pytest.raises(fedjob.InvalidJobError, match="IMG_SIZE"):
        fedjob.from_model(model, training={"img_size": 10, "extra": {"IMG_SIZE": 20}})
    with pytest.raises(fedjob.InvalidJobError, match=r"metadata\.name"):
        fedjob.from_model(model, name="Not A Name")


def test_missing_checkpoint_is_refused_and_one_in_s3_is_named(model):
    with pytest.raises(fedjob.InvalidJobError, match="checkpoint: /nowhere is not a file"):
        fedjob.from_model(model, checkpoint="/nowhere")
    job = fedjob.from_model(model, checkpoint="s3://bucket/first.pt")
    assert job.spec.model.checkpoint == "s3://bucket/first.pt"
    assert job.local_files().checkpoint is None


@pytest.mark.parametrize("given", ["model_def.py", "."])
def test_path_of_a_model_file_or_folder(tmp_path, given):
    write_model(tmp_path)
    job = fedjob.from_model(tmp_path / given, class_name="Net", files={"b.bin": b"\xff"})
    assert job.spec.model.source.inline == MODEL_DEF
    assert [file.path for file in job.spec.model.files] == ["scaling.py"]
    assert dict(job.attached) == {"b.bin": b"\xff"}
    assert job.validate().hints == ()


def net_small_v2():
    """A function's name becomes a job's name."""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Net", "net"),
        ("ResNetSmall", "res-net-small"),
        ("CNN2d", "cnn2d"),
        ("make_net", "make-net"),
        ("_2Layer", "job-2-layer"),
        ("A" * 60, "a" * 40),
    ],
)
def test_name_of_the_job_comes_from_the_class(name, expected, model, monkeypatch):
    from fedjob.client.from_model import _name_of

    assert _name_of(type(name, (), {}), None) == expected
    assert _name_of("/x/wine.ipynb", None) == "wine"
    assert _name_of(functools.partial(net_small_v2), None) == "net-small-v2"
