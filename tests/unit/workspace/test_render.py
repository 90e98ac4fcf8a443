"""Rows 16, 23, 32 to 35 and CONTRACT section 3: the job folder, as bytes, before anything runs."""

import ast
import json

import pytest

from fedjob.errors import EXIT_INVALID, InvalidInputError
from fedjob.spec.models.job import FederatedJob
from fedjob.workspace.job_folder import (
    NotAJobFolderError,
    read_job_folder,
    remove_job_folder,
    write_job_folder,
)
from fedjob.workspace.render import InvalidJobFolderError, render_job_folder
from fedjob.workspace.source.model_file import InvalidSourceError, check_source

MODEL = """import torch.nn as nn  # ünï


class Net(nn.Module):
    def __init__(self, width=8, num_classes=2):
        super().__init__()
        self.head = nn.Linear(width, num_classes)
"""
FORM_A = MODEL + "\n\ndef fl_train_model(payload):\n    return {}\n"
FORM_B = MODEL + "\n\ndef fl_train(model, env, out_dir, logger=None):\n    return {}\n"
VALIDATE = "\n\ndef fl_validate(model, env, out_dir, logger=None):\n    return {}\n"


def a_job(**spec):
    spec.setdefault("model", {})
    spec["model"] = {"className": "Net", "source": {"inline": "x = 1"}, **spec["model"]}
    return FederatedJob.model_validate({"metadata": {"name": "digits"}, "spec": spec})


def rendered(source=FORM_A, workers=("worker-0", "worker-1"), extra=None, **spec):
    job = a_job(**spec)
    info = check_source(source, job.spec.model.class_name, job.spec.model.train_function)
    return render_job_folder(job, source, info, 10, list(workers), extra or {})


def config(files, side):
    return json.loads(files[f"app/config/config_fed_{side}.json"])


def executor_of(files):
    (entry,) = config(files, "client")["executors"]
    return entry


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


OWN_EXECUTOR = """
from nvflare.apis.executor import Executor
class Mine(Executor):
    def __init__(self, data_root, speed=1):
        super().__init__()
"""
DERIVED = """
from fedjob_runtime.worker.executor import TrainExecutor
class Mine(TrainExecutor):
    pass
"""
PLAIN = """
from nvflare.apis.executor import Executor
class Mine(Executor):
    pass
"""
COMPONENTS = {
    "takes-one": (OWN_EXECUTOR, {"speed": 2}, {"data_root": "shard", "speed": 2}),
    "overrides": (OWN_EXECUTOR, {"data_root": "x"}, {"data_root": "x"}),
    "plain": (PLAIN, {"any": 1}, {"any": 1}),
}


@pytest.mark.parametrize(("code", "given", "expected"), COMPONENTS.values(), ids=COMPONENTS.keys())
def test_the_users_own_executor(code, given, expected):
    """Row 32: it gets its own arguments and those of ours that it takes."""
    files = rendered(
        extra={"app/custom/mine.py": code},
        components={"executor": {"path": "mine.Mine", "args": given}},
    )
    assert executor_of(files)["executor"] == {"path": "mine.Mine", "args": expected}
    assert files["app/custom/mine.py"] == code.encode()


def test_an_executor_derived_from_ours_gets_all_of_our_arguments():
    """Row 32."""
    own = executor_of(rendered())["executor"]["args"]
    files = rendered(
        FORM_A + DERIVED, components={"executor": {"path": "model_def.Mine", "args": {}}}
    )
    assert executor_of(files)["executor"] == {"path": "model_def.Mine", "args": own}


def test_the_users_own_persistor_and_aggregator():
    """Rows 33 and 34."""
    persistor = {"path": "nvflare.app_opt.pt.file_model_persistor.PTFileModelPersistor"}
    aggregator = {"path": "mine.Median", "args": {"trim": 1}}
    files = rendered(
        extra={"app/custom/mine.py": "class Median:\n    pass\n"},
        components={"persistor": persistor, "aggregator": aggregator},
    )
    by_id = {item["id"]: item for item in config(files, "server")["components"]}
    assert by_id["persistor"] == {"id": "persistor", "args": {}, **persistor}
    assert by_id["aggregator"] == {"id": "aggregator", **aggregator}


REFUSED = {
    "min-clients": (
        {"federation": {"minClients": 3}},
        "is 3, but there are 2 workers",
        "at most 2",
    ),
    "unknown-arg": (
        {"model": {"args": {"depth": 1}}},
        "does not take it; it takes width",
        "remove",
    ),
    "extra-path": ({"training": {"extra": {"path": "a.b"}}}, "class to build", "file_path"),
    "extra-deep": (
        {"training": {"extra": {"a": [{"path": "a.b"}]}}},
        "class to build",
        "file_path",
    ),
    "extra-braces": ({"training": {"extra": {"a": "{site}"}}}, "braces", "without braces"),
    "module": (
        {"components": {"executor": {"path": "other.Mine"}}},
        "module other is neither in app/custom (fedjob_executor, fedjob_persistor, model_def)",
        "write the class into model_def.py",
    ),
    "class": (
        {"components": {"persistor": {"path": "model_def.Nett"}}},
        "has no class Nett",
        "did you mean model_def.Net?",
    ),
}


@pytest.mark.parametrize(("spec", "problem", "fix"), REFUSED.values(), ids=REFUSED.keys())
def test_a_job_that_nvflare_could_not_run_is_refused(spec, problem, fix):
    """Row 35: before anything runs."""
    with pytest.raises(InvalidJobFolderError) as caught:
        rendered(**spec)
    (fault,) = caught.value.faults
    assert problem in fault.problem
    assert fix in fault.fix
    assert fault.field.startswith("spec.")
    assert caught.value.exit_code == EXIT_INVALID


def test_all_faults_come_at_once():
    with pytest.raises(InvalidJobFolderError) as caught:
        rendered(
            workers=(),
            model={"args": {"depth": 1}},
            training={"extra": {"x": "{y}"}},
            components={"executor": {"path": "a.B"}, "aggregator": {"path": "c.D"}},
        )
    assert len(caught.value.faults) == 5


def test_a_constructor_that_needs_more_is_said_so():
    source = FORM_A.replace("width=8, num_classes=2", "width, num_classes")
    with pytest.raises(InvalidJobFolderError, match="Net needs `width`"):
        rendered(source)
    rendered(source, model={"args": {"width": 3}})


def test_arguments_of_a_constructor_that_is_not_in_the_file_are_left_to_the_runtime():
    source = "from timm_like import Net\n\n\ndef fl_train_model(payload):\n    return {}\n"
    files = rendered(source, model={"args": {"anything": 1}})
    assert executor_of(files)["executor"]["args"]["model_args"] == {"anything": 1}


@pytest.mark.parametrize(
    "path", ["../x.py", "/etc/x", "a\\b", "C:/x", "", "app/custom/model_def.py", "meta.json"]
)
def test_extra_files_stay_in_the_folder_and_hide_nothing(path):
    with pytest.raises(InvalidJobFolderError, match="extra file"):
        rendered(extra={path: "x = 1"})


def test_a_broken_extra_module_is_named():
    with pytest.raises(InvalidInputError, match=r"app/custom/mine.py line 1") as caught:
        rendered(
            extra={"app/custom/mine.py": "class :"},
            components={"executor": {"path": "mine.Mine"}},
        )
    assert not isinstance(caught.value, InvalidSourceError)


def test_a_folder_is_written_read_and_replaced(tmp_path):
    """Row 35: build, inspect, upload."""
    files = rendered(extra={"app/custom/old.py": ""})
    folder = write_job_folder(files, tmp_path / "job")
    assert read_job_folder(folder) == files
    assert [p.name for p in tmp_path.iterdir()] == ["job"]
    (folder / "app/custom/__pycache__").mkdir()
    (folder / "app/custom/__pycache__/a.pyc").write_bytes(b"x")
    assert read_job_folder(folder) == files
    write_job_folder(rendered(), folder)
    assert read_job_folder(folder) == rendered()
    remove_job_folder(folder)
    remove_job_folder(folder)
    assert not folder.exists()


def test_a_folder_with_something_else_is_never_replaced(tmp_path):
    (tmp_path / "thesis.tex").write_text("years")
    for act in (
        lambda: write_job_folder(rendered(), tmp_path),
        lambda: remove_job_folder(tmp_path),
    ):
        with pytest.raises(NotAJobFolderError, match="exists and is no job folder"):
            act()
    assert (tmp_path / "thesis.tex").read_text() == "years"
    with pytest.raises(NotAJobFolderError, match="no job folder"):
        read_job_folder(tmp_path)
    empty = tmp_path / "empty"
    empty.mkdir()
    write_job_folder(rendered(), empty)
    (tmp_path / "link").symlink_to(empty)
    with pytest.raises(NotAJobFolderError):
        write_job_folder(rendered(), tmp_path / "link")
