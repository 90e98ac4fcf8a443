"""The three forms of training functions (CONTRACT section 1, rows 2, 8, 9, 20, 30, 36)."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from fedjob_runtime.training.context import TrainingContext
from fedjob_runtime.training.errors import (
    EmptyWeightsError,
    InvalidResultError,
    InvalidSamplesError,
    TrainFunctionInvalidError,
    TrainingError,
    UserCodeError,
    WeightsError,
)
from fedjob_runtime.training.forms import run_training
from support.training_run import EXTRA, OK, Train, calls

JOB = {"NUM_ROUNDS": 0, "NUM_CLIENTS": 0, "SHARD_NAME": ""}


@pytest.mark.parametrize(
    ("signature", "seen"),
    [
        ("payload", {"payload"}),
        ("payload, out_dir", {"payload", "out_dir"}),
        ("payload, out_dir, logger", {"payload", "out_dir", "logger"}),
        ("payload, logger=None, *, out_dir", {"payload", "out_dir", "logger"}),
        ("payload, logger", {"payload", "logger"}),
        ("out_dir, payload", {"payload", "out_dir"}),
        ("**kwargs", {"payload", "out_dir", "logger"}),
        ("payload, **kwargs", {"payload", "out_dir", "logger"}),
        ("payload, *args, other=3", {"payload"}),
    ],
)
def test_form_a_is_called_once_by_what_its_signature_accepts(
    train: Train, context: TrainingContext, signature: str, seen: set[str]
) -> None:
    """Row 8, and section 1's form A."""
    body = "    given = dict(locals()); given |= given.pop('kwargs', {})\n    CALLS.append(given)\n"
    logger = logging.getLogger("mine")
    result = train(f"def fl_train_model({signature}):\n{body}{OK}", logger=logger)
    assert result.samples == 3
    assert len(calls()) == 1
    given = {name: v for name, v in calls()[0].items() if name in ("payload", "out_dir", "logger")}
    assert set(given) == seen
    assert given.get("out_dir", context.out_dir) == context.data_root / "runs" / "round_2"
    assert context.out_dir.is_dir()
    assert getattr(given.get("logger"), "logger", logger) is logger


def test_form_a_s_payload_is_exactly_the_documented_one(
    train: Train, context: TrainingContext
) -> None:
    """Row 9."""
    train("def fl_train_model(payload):\n    CALLS.append(payload)\n" + OK)
    payload = calls()[0]
    assert set(payload) == {"dataset", "env", "initial_weights"}
    assert payload["dataset"] == {"data_root": str(context.data_root)}
    assert payload["env"] == {
        "SITE_NAME": "worker-1",
        "JOB_ID": "ns/job",
        "CURRENT_ROUND": 2,
        "DEVICE": "cpu",
        "local_epochs": 3,
        "batch_size": 4,
        "learning_rate": 0.01,
        "num_classes": 2,
        "img_size": 8,
        "manifest_file": "m.ndjson",
        **JOB,
        **EXTRA,
    }
    assert isinstance(payload["initial_weights"], dict)
    assert payload["initial_weights"]["norm.num_batches_tracked"].item() == 7
    assert float(payload["initial_weights"]["head.weight"][0, 0]) == 0.5


def test_form_b_gets_the_loaded_model_in_train_mode_and_the_documented_env(
    train: Train, context: TrainingContext
) -> None:
    """Rows 8, 9 and 31: the weights are loaded before train mode."""
    text = (
        "class Traced(Net):\n    def train(self, mode=True):\n"
        "        CALLS.append(('train', mode, self.head.weight[0, 0].item()))\n"
        "        return super().train(mode)\n"
        "Net = Traced\n"
        "def fl_train(model, env, out_dir, logger=None):\n"
        "    CALLS.append((model, env, out_dir, logger, model.training))\n"
        '    return {"state_dict": model.state_dict(), "samples": 5}\n'
    )
    result = train(text)
    (name, mode, weight), (model, env, out_dir, logger, training) = calls()
    assert (name, mode, weight) == ("train", True, 0.5)
    assert training
    assert type(model).__name__ == "Traced"
    assert out_dir == context.out_dir
    assert isinstance(logger, logging.LoggerAdapter)
    assert env == {
        "EPOCHS": 3,
        "BATCH_SIZE": 4,
        "LR": 0.01,
        "DATA_ROOT": str(context.data_root),
        "CURRENT_ROUND": 2,
        "SITE_NAME": "worker-1",
        "JOB_ID": "ns/job",
        "DEVICE": "cpu",
        "NUM_CLASSES": 2,
        "IMG_SIZE": 8,
        "MANIFEST_FILE": "m.ndjson",
        **JOB,
        **EXTRA,
    }
    assert float(result.weights["head.weight"][0, 0]) == 0.5
    assert int(result.weights["norm.num_batches_tracked"]) == 7


@pytest.mark.parametrize(
    ("returned", "error"),
    [
        ("None", InvalidResultError),
        ("{'weights': {}, 'samples': 1}", WeightsError),
        ("{'weights': Net(num_classes=3).state_dict(), 'samples': 1}", WeightsError),
        ("{'weights': Net().state_dict(), 'samples': 0}", InvalidSamplesError),
    ],
)
@pytest.mark.parametrize("form", ["A", "B"])
def test_a_bad_result_names_the_worker(
    train: Train, form: str, returned: str, error: type[TrainingError]
) -> None:
    head = (
        "def fl_train_model(payload):\n" if form == "A" else "def fl_train(model, env, out_dir):\n"
    )
    with pytest.raises(error, match=r"^worker-1: "):
        train(f"{head}    return {returned}\n")


def test_an_earlier_try_s_file_does_not_count(train: Train, context: TrainingContext) -> None:
    context.out_dir.mkdir(parents=True)
    torch.save({"head.weight": torch.ones(1)}, context.out_dir / "state_dict.pt")
    with pytest.raises(InvalidResultError, match="does not exist"):
        train('def fl_train_model(payload):\n    return {"samples": 1}\n')


def test_weights_left_in_out_dir(train: Train) -> None:
    text = (
        "def fl_train_model(payload, out_dir):\n    model = Net()\n"
        '    model.set_weights(payload["initial_weights"])\n'
        '    torch.save({"model_state": model.state_dict()}, out_dir / "state_dict.pt")\n'
        '    return {"samples": 1}\n'
    )
    assert float(train(text).weights["head.weight"][0, 0]) == 0.5


@pytest.mark.parametrize("form", ["A", "B"])
def test_empty_weights_are_tolerated_in_round_0_only(
    train: Train, context: TrainingContext, form: str
) -> None:
    """Row 36: the model's own start is used."""
    text = {
        "A": 'def fl_train_model(payload):\n    CALLS.append(payload["initial_weights"])\n' + OK,
        "B": "def fl_train(model, env, out_dir):\n    CALLS.append({})\n" + OK,
    }[form]
    first = TrainingContext("worker-1", "ns/job", 0, context.data_root)
    result = train(text, weights={}, context=first)
    assert calls() == [{}]
    assert result.warnings == ()
    with pytest.raises(EmptyWeightsError, match="only round 0 may"):
        run_training(sys.modules["model_def"], None, torch.nn.Linear(1, 1), {}, context)
    assert len(calls()) == 1


@pytest.mark.parametrize("form", ["A", "B"])
def test_the_working_directory_is_the_shard_and_is_restored(
    train: Train, context: TrainingContext, form: str
) -> None:
    (context.data_root / "table.csv").write_text("1,2")
    head = "fl_train_model(payload)" if form == "A" else "fl_train(model, env, out_dir)"
    before = Path.cwd()
    body = "    with open('table.csv') as file:\n        CALLS.append((os.getcwd(), file.read()))\n"
    train(f"import os\ndef {head}:\n{body}{OK}")
    assert calls() == [(str(context.data_root), "1,2")]
    assert Path.cwd() == before


def test_the_working_directory_is_restored_after_a_failure(train: Train) -> None:
    before = Path.cwd()
    with pytest.raises(UserCodeError):
        train("import os\ndef fl_train_model(payload):\n    os.chdir('/')\n    raise ValueError\n")
    assert Path.cwd() == before


def at_start(context: TrainingContext, **changes: Any) -> TrainingContext:
    fields = {name: getattr(context, name) for name in context.__slots__}
    return TrainingContext(**fields | {"round": 0} | changes)


def test_row_27_a_manifest_that_the_author_opens_is_looked_for(
    train: Train, context: TrainingContext
) -> None:
    (context.data_root / "inner").mkdir()
    (context.data_root / "inner/m.ndjson").touch()
    with pytest.raises(UserCodeError) as caught:
        train("def fl_train_model(payload):\n    open('m.ndjson')\n")
    assert "FileNotFoundError" in str(caught.value)
    assert "has it at inner/m.ndjson; it must be at the root of" in caught.value.fix


def test_row_36_without_a_model_the_answer_is_the_model(
    module_of: Callable[[str], ModuleType], context: TrainingContext
) -> None:
    module = module_of(
        "def fl_train_model(payload):\n    CALLS.append(dict(payload['initial_weights']))\n"
        "    return {'weights': {'w': torch.ones(2), 'n': 3}, 'samples': 4}\n"
        "def fl_train(model, env, out_dir): pass\n"
    )
    result = run_training(module, None, None, {}, at_start(context))
    assert {name: value.tolist() for name, value in result.weights.items()} == {
        "w": [1, 1],
        "n": 3,
    }
    assert calls() == [{}]
    with pytest.raises(WeightsError, match="the model has no n"):
        run_training(module, None, None, {"w": torch.ones(2)}, context)
    with pytest.raises(TrainFunctionInvalidError, match="takes a model, and the job has none"):
        run_training(module, "fl_train", None, {}, at_start(context))


def test_env_and_payload_have_the_job_and_the_state_folder(
    train: Train, context: TrainingContext, tmp_path: Path
) -> None:
    given = at_start(
        context, num_rounds=7, num_clients=3, shard_name="a.zip", state_dir=tmp_path / "state"
    )
    train("def fl_train_model(payload):\n    CALLS.append(payload)\n" + OK, context=given)
    (payload,) = calls()
    assert payload["state_dir"] == payload["env"]["STATE_DIR"] == str(tmp_path / "state")
    env = given.env()
    assert (env["NUM_ROUNDS"], env["NUM_CLIENTS"], env["SHARD_NAME"]) == (7, 3, "a.zip")


def test_part_of_the_model_is_accepted_where_allowed(train: Train) -> None:
    text = (
        "def fl_train(model, env, out_dir):\n"
        "    return {'weights': {'head.bias': model.head.bias.detach() + 1}, 'samples': 1}\n"
    )
    assert list(train(text, partial=True).weights) == ["head.bias"]


def test_part_of_the_model_is_refused_elsewhere_with_the_field_to_set(train: Train) -> None:
    with pytest.raises(WeightsError, match=r"federation\.partial: true"):
        train(
            "def fl_train(model, env, out_dir):\n"
            "    return {'weights': {'head.bias': model.head.bias.detach() + 1}, 'samples': 1}\n"
        )
