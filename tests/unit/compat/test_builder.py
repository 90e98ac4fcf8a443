"""The rendered job as text, without shards and without a cluster (row 35)."""

import json

import pytest

from fedjob.compat import FederationConfig, RTJobBuilder
from fedjob.errors import FedjobWarning, InvalidInputError
from support.sdk.models import MODEL_DEF


def test_configs_are_json_texts():
    builder = RTJobBuilder(federation=FederationConfig(num_rounds=3, job_name="rt_mine"))
    configs = builder.render_configs()
    assert set(configs) == {"config_fed_client.json", "config_fed_server.json", "meta.json"}
    assert json.loads(configs["meta.json"])["name"] == "rt_mine"
    assert json.loads(configs["config_fed_client.json"])["format_version"] == 2


def test_configs_of_a_model_name_its_training_function(model):
    executors = json.loads(RTJobBuilder().render_configs(model)["config_fed_client.json"])
    assert '"fl_train_model"' in json.dumps(executors)


def test_scripts_are_what_the_workers_get(model):
    scripts = RTJobBuilder().render_scripts(model)
    assert scripts["model_def.py"] == MODEL_DEF
    assert "Executor" in scripts["fedjob_executor.py"]
    assert scripts["scaling.py"] == "SCALE = 0.5\n"


def test_faults_and_arguments_without_meaning(model):
    with pytest.warns(FedjobWarning, match="worker_prices"):
        RTJobBuilder(worker_prices=[1])
    with pytest.raises(InvalidInputError, match="RTJobBuilder: rounds: is not an argument"):
        RTJobBuilder(rounds=3)
    with pytest.raises(InvalidInputError, match="numRounds"):
        RTJobBuilder(federation=FederationConfig(num_rounds=0)).render_configs()
