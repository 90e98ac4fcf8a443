"""The service's configuration objects."""

import pytest

from fedjob.compat import FederationConfig, ModelConfig, ResonTechConfig, TrainingConfig
from fedjob.errors import InvalidInputError, WorkspaceError
from fedjob.reasons import Reason
from fedjob.spec.models import federation as spec


def test_sftp_is_refused_and_points_to_s3():
    """Row 28."""
    with pytest.raises(WorkspaceError, match=r"sftp_key_file: .*leave it out: .*S3") as caught:
        ResonTechConfig("https://api.example.org", "ada@example.org", "secret", "~/.ssh/id_rsa")
    assert caught.value.reason is Reason.WORKSPACE_ERROR


def test_secrets_are_not_shown():
    config = ResonTechConfig(
        password="hidden1", s3_secret_access_key="hidden2", s3_access_key_id="hidden3"
    )
    assert "hidden" not in repr(config)
    assert config.ignored == ["s3_access_key_id", "s3_secret_access_key"]


def test_defaults_are_those_of_the_resource():
    """Rows 4 and 5."""
    assert FederationConfig().values == {
        name: value
        for name, value in spec.FederationConfig().model_dump().items()
        if name in FederationConfig.__dataclass_fields__
    }
    assert TrainingConfig(extra={"IMG_SIZE": 32}).img_size == 32, "extra sets the field of its name"
    with pytest.raises(ValueError, match="IMG_SIZE"):
        TrainingConfig(img_size=64, extra={"IMG_SIZE": 32})


def test_own_aggregator_is_named_with_its_arguments():
    config = FederationConfig(aggregator_path="model_def.Mean", aggregator_args={"trim": 1})
    assert (config.aggregator.path, config.aggregator.args) == ("model_def.Mean", {"trim": 1})
    assert FederationConfig().aggregator is None


def test_nvflares_workflows_change_nothing_and_own_ones_are_refused():
    path = "nvflare.app_common.workflows.scatter_and_gather.ScatterAndGather"
    config = FederationConfig(workflow_path=path, workflow_args={"num_rounds": 3})
    config.check()
    assert config.ignored == ["workflow_path", "workflow_args"]
    with pytest.raises(InvalidInputError, match=r"model_def\.Ring is a workflow of your own"):
        FederationConfig(workflow_path="model_def.Ring").check()


@pytest.mark.parametrize(
    ("config", "name", "code"),
    [
        (ModelConfig(), None, ""),
        (ModelConfig("model_def.Net"), "Net", ""),
        (ModelConfig(InvalidInputError), "InvalidInputError", ""),
        (ModelConfig(train_fn="train"), None, ""),
        (ModelConfig(validate_fn="score"), None, "fl_validate = score\n"),
        (
            ModelConfig(adapter_module="adapter", train_fn="train", validate_fn="score"),
            None,
            "from adapter import train, score\nfl_validate = score\n",
        ),
        (ModelConfig(adapter_module="adapter"), None, "from adapter import fl_train_model\n"),
    ],
)
def test_functions_are_bound_where_fedjob_looks_for_them(config, name, code):
    assert config.class_name == name
    assert config.added_code == code
