"""Rows 16, 23, 32 to 35 and CONTRACT section 3: the job folder, as bytes, before anything runs."""

import ast
import json

import pytest

from fedjob.workspace.render import InvalidJobFolderError
from support.workspace.rendered_jobs import (
    FORM_A,
    FORM_B,
    MODEL,
    VALIDATE,
    config,
    executor_of,
    rendered,
)


def test_the_folder_has_the_files_of_the_contract():
    """CONTRACT section 3, row 35."""
    assert set(rendered()) == {
        "app/custom/model_def.py",
        "app/custom/fedjob_executor.py",
        "app/custom/fedjob_persistor.py",
        "app/config/config_fed_client.json",
        "app/config/config_fed_server.json",
        "meta.json",
        "requirements.txt",
    }


def test_the_model_file_is_shipped_verbatim():
    """Row 24."""
    source = FORM_A.replace("\n", "\r\n") + "# {{ braces }} {% raw %}"
    assert rendered(source)["app/custom/model_def.py"] == source.encode()


def test_the_client_configuration():
    """Row 4's values reach the executor."""
    files = rendered(
        FORM_A + VALIDATE,
        model={"args": {"width": 4}},
        training={"localEpochs": 3, "extra": {"momentum": 0.9, "note": 'quote " and \\'}},
    )
    assert config(files, "client")["format_version"] == 2
    entry = executor_of(files)
    assert entry["tasks"] == ["train", "validate", "submit_model"]
    assert entry["executor"] == {
        "path": "fedjob_executor.FedjobExecutor",
        "args": {
            "data_root": "shard",
            "adapter_module": "model_def",
            "train_fn": "fl_train_model",
            "validate_fn": "fl_validate",
            "class_name": "Net",
            "model_args": {"width": 4},
            "hyperparameters": {
                "local_epochs": 3,
                "batch_size": 32,
                "learning_rate": 0.001,
                "num_classes": 10,
                "img_size": 224,
                "manifest_file": "manifest.ndjson",
                "extra": {"momentum": 0.9, "note": 'quote " and \\'},
                "num_rounds": 5,
                "num_clients": 2,
            },
        },
    }


def test_the_server_configuration():
    """Rows 5, 6, 14, 15."""
    server = config(rendered(federation={"numRounds": 7, "roundTimeout": 60}), "server")
    assert server["format_version"] == 2
    assert server["server"] == {"heart_beat_timeout": 600, "task_request_interval": 0.2}
    by_id = {item["id"]: item for item in server["components"]}
    assert set(by_id) == {"persistor", "shareable_generator"}
    assert by_id["persistor"] == {
        "id": "persistor",
        "path": "fedjob_persistor.FedjobPersistor",
        "args": {"class_name": "Net", "model_args": {}, "num_classes": 10},
    }
    (workflow,) = server["workflows"]
    assert workflow["path"] == "fedjob_runtime.server.job_process.controller.SegmentController"
    assert workflow["args"] == {
        "num_rounds": 7,
        "min_clients": 1,
        "wait_time_after_min_received": 10,
        "round_timeout": 60,
        "persistor_id": "persistor",
    }
    (workflow,) = config(rendered(), "server")["workflows"]
    assert workflow["args"]["round_timeout"] is None


def test_the_strategy_reaches_the_server_and_fedprox_the_workers():
    adam = {"name": "FedAdam", "args": {"learningRate": 0.5}}
    (workflow,) = config(rendered(federation={"strategy": adam}), "server")["workflows"]
    assert workflow["args"]["strategy"] == "FedAdam"
    assert workflow["args"]["strategy_args"] == {
        "learning_rate": 0.5,
        "beta1": 0.9,
        "beta2": 0.99,
        "tau": 0.001,
    }
    folder = rendered(federation={"strategy": {"name": "FedProx", "args": {"mu": 0.25}}})
    (executor,) = config(folder, "client")["executors"]
    assert executor["executor"]["args"]["hyperparameters"]["proximal_mu"] == 0.25


def test_meta_json_has_the_job_name():
    """Row 16."""
    meta = json.loads(rendered(federation={"jobName": "my_rt.job", "minClients": 2})["meta.json"])
    assert meta == {
        "name": "my_rt.job",
        "resource_spec": {"worker-0": {}, "worker-1": {}},
        "deploy_map": {"app": ["@ALL"]},
        "min_clients": 2,
    }
    assert json.loads(rendered()["meta.json"])["name"] == "rt_job"


def test_the_manifests_name_reaches_the_executor():
    """Row 23."""
    files = rendered(MODEL, training={"manifestFile": "train.ndjson"})
    arguments = executor_of(files)["executor"]["args"]
    assert arguments["hyperparameters"]["manifest_file"] == "train.ndjson"


def test_requirements_are_written_line_by_line():
    files = rendered(model={"requirements": ["timm==1.0", "scikit-learn>=1.5"]})
    assert files["requirements.txt"] == b"timm==1.0\nscikit-learn>=1.5\n"
    assert rendered()["requirements.txt"] == b""


@pytest.mark.parametrize(
    ("source", "named", "module", "function"),
    [
        (FORM_A, None, "model_def", "fl_train_model"),
        (FORM_B, None, "model_def", "fl_train"),
        (FORM_B.replace("fl_train(", "mine("), "mine", "model_def", "mine"),
        (MODEL, None, "train_loop", "fl_train"),
    ],
)
def test_the_executor_calls_the_form_that_was_written(source, named, module, function):
    """CONTRACT section 1."""
    files = rendered(source, model={"trainFunction": named})
    arguments = executor_of(files)["executor"]["args"]
    assert (arguments["adapter_module"], arguments["train_fn"]) == (module, function)
    assert ("app/custom/train_loop.py" in files) == (module == "train_loop")
    assert arguments["validate_fn"] is None


def test_every_generated_python_file_is_python_and_defines_what_the_configurations_name():
    files = rendered(MODEL)
    for path, content in files.items():
        if path.endswith(".py"):
            compile(content, path, "exec")
    for module, name in (
        ("fedjob_executor", "FedjobExecutor"),
        ("fedjob_persistor", "FedjobPersistor"),
        ("train_loop", "fl_train"),
    ):
        nodes = list(ast.walk(ast.parse(files[f"app/custom/{module}.py"])))
        assert name in {getattr(node, "name", None) for node in nodes}


def test_the_same_job_gives_the_same_bytes():
    assert rendered() == rendered()
    assert list(rendered()) == sorted(rendered())


@pytest.mark.parametrize(
    "path", ["../x.py", "/etc/x", "a\\b", "C:/x", "", "app/custom/model_def.py", "meta.json"]
)
def test_extra_files_stay_in_the_folder_and_hide_nothing(path):
    with pytest.raises(InvalidJobFolderError, match="extra file"):
        rendered(extra={path: "x = 1"})
