"""The executor without a federation: NVFlare's own contexts and shareables, no processes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from nvflare.apis.fl_constant import ReservedKey, ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.apis.signal import Signal
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from nvflare.app_common.utils.fl_model_utils import FLModelUtils

from fedjob import __version__
from fedjob.reasons import Reason
from fedjob_runtime.protocol import (
    ANSWER_SHA256,
    BASE,
    FAILURE,
    PROTOCOL,
    RELEASE,
    SAMPLES,
    TASK_PROTOCOL,
    WARNINGS,
    read_failure,
    version_meta,
)
from fedjob_runtime.training.weights import digest
from fedjob_runtime.worker.executor import TrainExecutor

MODEL = """
import json
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, width=2):
        super().__init__()
        torch.manual_seed(5)
        self.fc = nn.Linear(width, 1)


def fl_train_model(payload, out_dir):
    root = payload["dataset"]["data_root"]
    with open(f"{root}/../calls", "a") as calls:
        calls.write("x")
    if payload["env"].get("unread"):
        return {"weights": Net().state_dict(), "samples": 3}
    weights = payload["initial_weights"] or Net().state_dict()
    return {"weights": {k: v + 1 for k, v in weights.items()}, "samples": 3, "metrics": {"m": 2.0}}


def fl_validate(model, env, out_dir):
    return {"metrics": {"accuracy": 0.5}, "samples": 8}
"""


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainExecutor:
    custom = tmp_path / "job/app/custom"
    custom.mkdir(parents=True)
    (custom / "model_def.py").write_text(MODEL)
    shard = tmp_path / "home/shard"
    shard.mkdir(parents=True)
    (shard / "manifest.ndjson").write_text('{"id": "a", "uri": "x", "y": 0}\n')
    monkeypatch.setenv("FEDJOB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FEDJOB_JOB_FOLDER", str(tmp_path / "job"))
    monkeypatch.setenv("FEDJOB_JOB_ID", "job")
    monkeypatch.setenv("FEDJOB_DEVICE", "cpu")
    return make({})


def make(extra: dict[str, Any]) -> TrainExecutor:
    return TrainExecutor(
        data_root="shard",
        adapter_module="model_def",
        train_fn="fl_train_model",
        validate_fn="fl_validate",
        class_name="Net",
        model_args={},
        hyperparameters={"batch_size": 4, "extra": extra},
    )


def call(
    executor: TrainExecutor,
    weights: dict[str, torch.Tensor],
    number: int,
    *,
    task: str = "train",
    base: str = "",
    meta: dict[str, Any] | None = None,
) -> Shareable:
    context = FLContext()
    context.set_prop(ReservedKey.IDENTITY_NAME, "worker-7", private=False, sticky=True)
    model = FLModel(
        params_type=ParamsType.FULL,
        params=weights,
        current_round=number,
        meta={BASE: base, **(meta or {})},
    )
    return executor.execute(task, FLModelUtils.to_shareable(model), context, Signal())


def weights(value: float) -> dict[str, torch.Tensor]:
    return {"fc.weight": torch.full((1, 2), value), "fc.bias": torch.full((1,), value)}


def calls(tmp_path: Path) -> int:
    file = tmp_path / "home/calls"
    return len(file.read_text()) if file.exists() else 0


def test_row_36_empty_weights_are_tolerated_in_round_0(worker: TrainExecutor) -> None:
    reply = call(worker, {}, 0)
    assert reply.get_return_code() == ReturnCode.OK
    assert set(FLModelUtils.from_shareable(reply).params) == {"fc.weight", "fc.bias"}


def test_row_36_later_they_are_bad_task_data(worker: TrainExecutor, tmp_path: Path) -> None:
    reply = call(worker, {}, 1)
    assert reply.get_return_code() == ReturnCode.BAD_TASK_DATA
    failure = read_failure(reply.get_header(FAILURE))
    assert failure is not None
    assert failure[0] == Reason.BAD_TASK_DATA
    assert "worker-7" in failure[1]
    assert "round 1" in failure[1]
    assert calls(tmp_path) == 0


def test_an_answer_carries_weights_samples_and_metrics(worker: TrainExecutor) -> None:
    answer = FLModelUtils.from_shareable(call(worker, weights(1.0), 3))
    assert answer.meta[ANSWER_SHA256] == digest(answer.params)
    assert torch.equal(answer.params["fc.weight"], torch.full((1, 2), 2.0))
    assert answer.meta[SAMPLES] == 3
    assert answer.metrics == {"m": 2.0}
    assert answer.current_round == 3


def test_row_8_the_same_task_again_is_answered_without_training(
    worker: TrainExecutor, tmp_path: Path
) -> None:
    first = FLModelUtils.from_shareable(call(worker, weights(1.0), 3, base="abc"))
    again = FLModelUtils.from_shareable(call(make({}), weights(1.0), 3, base="abc"))
    assert calls(tmp_path) == 1
    assert torch.equal(first.params["fc.weight"], again.params["fc.weight"])
    assert again.meta[SAMPLES] == first.meta[SAMPLES]
    assert again.meta[ANSWER_SHA256] == first.meta[ANSWER_SHA256] == digest(again.params)


@pytest.mark.parametrize(("number", "base"), [(3, "other"), (4, "abc"), (3, "")])
def test_another_round_or_global_model_is_trained(
    worker: TrainExecutor, tmp_path: Path, number: int, base: str
) -> None:
    call(worker, weights(1.0), 3, base="abc")
    call(worker, weights(1.0), number, base=base)
    assert calls(tmp_path) == 2


def test_only_the_last_two_answers_are_kept(worker: TrainExecutor, tmp_path: Path) -> None:
    for number in range(5):
        call(worker, weights(1.0), number, base="abc")
    kept = sorted(path.name for path in (tmp_path / "home/answers").iterdir())
    assert kept == ["3", "4"]


def test_row_31_weights_that_were_not_read_are_warned_of(worker: TrainExecutor) -> None:
    answer = FLModelUtils.from_shareable(call(make({"unread": True}), weights(1.0), 2))
    assert any("WeightsNotLoaded" in warning for warning in answer.meta[WARNINGS])


def test_weights_of_another_shape_name_worker_and_tensor(worker: TrainExecutor) -> None:
    wrong = {**weights(1.0), "fc.weight": torch.zeros(1, 3)}
    failure = read_failure(call(worker, wrong, 2).get_header(FAILURE))
    assert failure is not None
    assert failure[0] == Reason.SHAPE_MISMATCH
    assert "worker-7" in failure[1]
    assert "fc.weight" in failure[1]


def test_validation_gives_metrics_and_their_weight(worker: TrainExecutor) -> None:
    reply = FLModelUtils.from_shareable(call(worker, weights(0.0), 2, task="validate"))
    assert reply.metrics == {"accuracy": 0.5}
    assert reply.meta[SAMPLES] == 8
    assert reply.params is None


def test_submit_model_gives_the_last_answer(worker: TrainExecutor) -> None:
    early = call(worker, {}, 0, task="submit_model")
    assert early.get_return_code() == ReturnCode.EXECUTION_EXCEPTION
    call(worker, weights(4.0), 1)
    late = FLModelUtils.from_shareable(call(worker, weights(0.0), 1, task="submit_model"))
    assert torch.equal(late.params["fc.bias"], torch.full((1,), 5.0))


def test_an_unknown_task_is_answered_as_unknown(worker: TrainExecutor) -> None:
    assert call(worker, {}, 0, task="mystery").get_return_code() == ReturnCode.TASK_UNKNOWN


@pytest.mark.parametrize(
    "header", [None, "no json", "[1]", json.dumps({"reason": "X"}), "{}", "\x00"]
)
def test_whatever_a_worker_puts_into_the_header_is_read_as_text(header: str | None) -> None:
    found = read_failure(header)
    assert (found is None) == (header is None)
    if found:
        assert found[0] == "TrainingFailed"


def test_the_log_has_the_whole_traceback_and_the_message_once(
    worker: TrainExecutor, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "job/app/custom/broken.py").write_text(
        "def deep(n):\n    return deep(n - 1) if n else {}['label']\n"
        "def fl_train_model(payload):\n    try:\n        deep(30)\n"
        "    except KeyError as error:\n        raise RuntimeError('while reading') from error\n"
    )
    worker._adapter = "broken"
    reply = call(worker, weights(1), 0)
    failure = read_failure(reply.get_header(FAILURE))
    assert failure is not None
    assert "KeyError: 'label', which led to RuntimeError: while reading" in failure[1]
    (record,) = [r for r in caplog.records if "while reading" in r.getMessage()]
    assert record.getMessage().count("worker-7") == 1
    log = caplog.text
    assert "The above exception was the direct cause of the following exception" in log
    assert "in fl_train_model" in log
    assert log.count("worker-7: fl_train_model in round 0 failed") == 1


def test_conversions_are_reported_once_and_dropped_metrics_every_round(
    worker: TrainExecutor, tmp_path: Path
) -> None:
    (tmp_path / "job/app/custom/wrapped.py").write_text(
        "def fl_train_model(payload):\n"
        "    w = payload['initial_weights']\n"
        "    return {'weights': {f'module.{k}': (v + 1).numpy() for k, v in w.items()},\n"
        "            'num_samples': 2, 'metrics': {'bad': 'x'}}\n"
    )
    worker._adapter = "wrapped"
    kinds = []
    for number in (0, 1):
        reply = FLModelUtils.from_shareable(call(worker, weights(1), number))
        assert reply.meta[SAMPLES] == 2
        kinds.append(sorted(text.partition(":")[0] for text in reply.meta[WARNINGS]))
    assert kinds == [["MetricDropped", "WrapperPrefix"], ["MetricDropped"]]


def test_the_state_folder_is_in_the_workers_home(worker: TrainExecutor, tmp_path: Path) -> None:
    call(worker, weights(1), 0)
    assert (tmp_path / "home/state").is_dir()


def test_a_job_without_a_model(worker: TrainExecutor, tmp_path: Path) -> None:
    (tmp_path / "job/app/custom/free.py").write_text(
        "def fl_train_model(payload):\n    return {'weights': {'t': 1.5}, 'samples': 2}\n"
    )
    free = TrainExecutor(
        data_root="shard",
        adapter_module="free",
        train_fn="fl_train_model",
        validate_fn=None,
        class_name=None,
        model_args={},
        hyperparameters={},
    )
    reply = FLModelUtils.from_shareable(call(free, {}, 0))
    assert float(reply.params["t"]) == 1.5
    unknown = call(free, {"t": torch.ones(())}, 0, task="validate")
    assert unknown.get_return_code() == ReturnCode.TASK_UNKNOWN


@pytest.mark.parametrize("task", ["train", "validate"])
def test_task_of_another_protocol_is_refused_before_the_authors_code_runs(
    worker: TrainExecutor, tmp_path: Path, task: str
) -> None:
    newer = {PROTOCOL: TASK_PROTOCOL + 1, RELEASE: "9.9.9"}
    reply = call(worker, weights(1.0), 1, task=task, meta=newer)
    failure = read_failure(reply.get_header(FAILURE))
    assert failure is not None
    assert failure[0] == Reason.VERSION_MISMATCH
    assert f"the server's fedjob is 9.9.9 (protocol {TASK_PROTOCOL + 1})" in failure[1]
    assert f"this worker's is {__version__} (protocol {TASK_PROTOCOL})" in failure[1]
    assert failure[1].startswith("worker-7: ")
    assert calls(tmp_path) == 0


def test_release_alone_refuses_nothing(worker: TrainExecutor) -> None:
    reply = call(worker, weights(1.0), 1, meta={PROTOCOL: TASK_PROTOCOL, RELEASE: "9.9.9"})
    assert reply.get_return_code() == ReturnCode.OK


@pytest.mark.parametrize("task", ["train", "validate"])
def test_reply_carries_the_workers_version(worker: TrainExecutor, task: str) -> None:
    reply = FLModelUtils.from_shareable(call(worker, weights(1.0), 1, task=task))
    assert {key: reply.meta[key] for key in version_meta()} == version_meta()
