"""The service's arguments as a job of fedjob."""

from fedjob.compat.configs import FederationConfig, ModelConfig
from fedjob.compat.jobs import OWNER, JobArguments
from support.sdk.models import write_model


def test_every_argument_reaches_the_resource(model, tmp_path):
    (tmp_path / "requirements.txt").write_text("einops\n")
    job = JobArguments(
        name="digits",
        training={"local_epochs": 3},
        federation=FederationConfig(num_rounds=7, aggregator_path="model_def.Mean"),
        model_config=ModelConfig(model_args={"width": 3}, train_fn="fl_train_model"),
        executor="model_def.MyExecutor",
        persistor="model_def.MyPersistor",
        model_checkpoint="s3://bucket/first.pt",
        requirements_txt=tmp_path / "requirements.txt",
    ).job(model, "ada@example.org")
    spec = job.spec
    assert job.metadata.annotations == {OWNER: "ada@example.org"}
    assert (spec.training.local_epochs, spec.federation.num_rounds) == (3, 7)
    assert spec.components.executor.path == "model_def.MyExecutor"
    assert spec.components.persistor.path == "model_def.MyPersistor"
    assert spec.components.aggregator.path == "model_def.Mean"
    assert (spec.model.args, spec.model.train_function) == ({"width": 3}, "fl_train_model")
    assert spec.model.checkpoint == "s3://bucket/first.pt"
    assert spec.model.requirements == ["einops"]


def test_adapter_beside_a_model_path_travels_and_is_bound(tmp_path):
    path = write_model(tmp_path)
    (tmp_path / "adapter.py").write_text("def train(payload):\n    return {}\n")
    config = ModelConfig("model_def.Net", adapter_module="adapter", train_fn="train")
    job = JobArguments(name="a", model_config=config).job(path)
    assert job.spec.model.source.inline.endswith("\n\nfrom adapter import train\n")
    assert [file.path for file in job.spec.model.files] == ["adapter.py", "scaling.py"]
    assert job.validate().hints == ()


def test_class_of_the_model_config_stands_for_a_path(model, tmp_path):
    config = ModelConfig(model_class=model)
    assert JobArguments(model_config=config).job(tmp_path / "any.py").spec.model.class_name == "Net"
