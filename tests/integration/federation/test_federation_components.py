"""The user's own NVFlare classes in a real federation (CONTRACT rows 32, 33, 34)."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import torch

from support.federation import Federation

pytestmark = pytest.mark.federation

# What a user of NVFlare has lying around: an executor that answers numpy differences, a persistor,
# and a median in place of the mean.
OWN = """
import os
import numpy as np
import torch
from nvflare.apis.dxo import DXO, DataKind, MetaKey, from_shareable
from nvflare.apis.executor import Executor
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from nvflare.app_common.abstract.model import make_model_learnable
from nvflare.app_common.abstract.model_persistor import ModelPersistor
from nvflare.app_common.aggregators.model_aggregator import ModelAggregator
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(2, 1, bias=False)


class MyExecutor(Executor):
    def __init__(self, step):
        super().__init__()
        self.step = step

    def execute(self, task_name, shareable, fl_ctx, abort_signal):
        weights = from_shareable(shareable).data
        index = int(fl_ctx.get_identity_name().rsplit("-", 1)[1])
        moved = {k: np.full(v.shape, self.step[index], np.float32) for k, v in weights.items()}
        dxo = DXO(DataKind.WEIGHT_DIFF, moved, {MetaKey.NUM_STEPS_CURRENT_ROUND: 10 + index})
        reply = dxo.to_shareable()
        reply.set_header("current_round", shareable.get_header("current_round"))
        return reply


class MyPersistor(ModelPersistor):
    def __init__(self, value, saved, refuses=False):
        super().__init__()
        if refuses:
            raise RuntimeError("no licence for " + saved)
        self.value, self.saved = value, saved

    def load_model(self, fl_ctx):
        if self.value is None:
            raise FileNotFoundError("pretrained.bin")
        return make_model_learnable({"fc.weight": np.full((1, 2), self.value, np.float32)}, {})

    def save_model(self, model, fl_ctx):
        with open(self.saved, "a") as file:
            file.write(f"{float(model['weights']['fc.weight'][0, 0])}\\n")


class Median(ModelAggregator):
    def __init__(self, broken=False):
        super().__init__()
        self.broken, self.seen = broken, []

    def accept_model(self, model):
        if self.broken:
            raise ValueError("cannot weigh this")
        self.seen.append(model.params)

    def aggregate_model(self):
        names = self.seen[0]
        params = {k: torch.stack([p[k] for p in self.seen]).median(0).values for k in names}
        return FLModel(params_type=ParamsType.FULL, params=params)

    def reset_stats(self):
        self.seen = []
"""


def test_rows_32_33_34_together(federation: Callable[..., Federation], tmp_path: object) -> None:
    saved = f"{tmp_path}/saved.txt"
    fed = federation(
        OWN,
        [1, 1, 1],
        federation={"num_rounds": 2, "min_clients": 3},
        components={
            "executor": {"path": "model_def.MyExecutor", "args": {"step": [1.0, 2.0, 600.0]}},
            "persistor": {
                "path": "model_def.MyPersistor",
                "args": {"value": 5.0, "saved": saved},
            },
            "aggregator": {"path": "model_def.Median", "args": {}},
        },
    )
    fed.start()
    assert fed.wait_end() == 0, fed.logs()
    # Row 33: its initial model. Row 32: its differences. Row 34: the median, not the mean.
    assert torch.equal(fed.model(0)["fc.weight"], torch.full((1, 2), 5.0))
    assert torch.equal(fed.model(1)["fc.weight"], torch.full((1, 2), 7.0))
    assert torch.equal(fed.model(2)["fc.weight"], torch.full((1, 2), 9.0))
    assert {p.name: p.samples for p in fed.commits()[0].participants} == {
        "worker-0": 10,
        "worker-1": 11,
        "worker-2": 12,
    }
    with open(saved) as file:
        assert file.read().split() == ["7.0", "9.0"]


PERSISTOR = {"path": "model_def.MyPersistor", "args": {"value": 5.0, "saved": "/dev/null"}}


def persistor(**args: object) -> dict[str, dict[str, object]]:
    return {"persistor": {**PERSISTOR, "args": {**PERSISTOR["args"], **args}}}  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("components", "reason", "fragments", "completed"),
    [
        (
            {"aggregator": {"path": "model_def.Median", "args": {"broken": True}}},
            "AggregationFailed",
            [
                "Median.accept failed in round 1: ValueError: cannot weigh this (model_def.py line",
                'raise ValueError("cannot weigh this")',
                "spec.components.aggregator",
            ],
            0,
        ),
        (
            persistor(value=None),
            "ModelInvalid",
            ["MyPersistor.load_model", "FileNotFoundError: pretrained.bin (model_def.py line"],
            0,
        ),
        (
            persistor(refuses=True),
            "ComponentFailed",
            [
                "the server's job process failed before its first round in the author's code",
                "RuntimeError: no licence for /dev/null (model_def.py line",
            ],
            0,
        ),
        (
            persistor(saved="/nowhere/saved.txt"),
            "ComponentFailed",
            [
                "the server's job process failed in round 1 in the author's code",
                "FileNotFoundError",
                "in save_model",
            ],
            0,
        ),
        (
            {"persistor": {"path": "model_def.MyPersistor", "args": {"valu": 5.0}}},
            "ComponentInvalid",
            ["the server's job process failed before its first round", "valu"],
            0,
        ),
    ],
    ids=["aggregator", "load_model", "constructor", "save_model", "arguments"],
)
def test_what_they_raise_fails_the_run_at_once_with_its_last_frames(
    federation: Callable[..., Federation],
    components: dict[str, dict[str, object]],
    reason: str,
    fragments: list[str],
    completed: int,
) -> None:
    steps = {"executor": {"path": "model_def.MyExecutor", "args": {"step": [1.0]}}}
    fed = federation(OWN, [1], federation={"num_rounds": 2}, components={**steps, **components})
    fed.start()
    assert fed.wait_end() == 1, fed.logs()
    status = fed.last_status()
    assert status.reason == reason, status.message
    for fragment in fragments:
        assert fragment in status.message
    assert status.completed == completed
    # Deterministic: the first segment is the last, and no worker is blamed.
    assert status.segments == 1
    assert [client.message for client in status.clients] == [""]


SPECTRAL = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.spectral = nn.Parameter(torch.ones(3, dtype=torch.complex128))


def fl_train_model(payload, out_dir):
    raise AssertionError("not reached")
"""


def test_model_that_cannot_be_averaged_is_refused_before_round_1(
    federation: Callable[..., Federation],
) -> None:
    """shared/field/complex128: three minutes of retries, blamed on both workers."""
    fed = federation(SPECTRAL, [1], federation={"num_rounds": 1})
    fed.start()
    assert fed.wait_end() == 1, fed.logs()
    status = fed.last_status()
    assert status.reason == "ModelInvalid"
    assert "Net.spectral is complex128, which cannot be saved and averaged" in status.message
    assert "use complex64" in status.message
    assert status.segments == 1


LIMITS = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(1, 1)
        for dtype in (torch.float32, torch.bfloat16, torch.float16, torch.float64):
            name = "at_" + str(dtype).removeprefix("torch.")
            limit = torch.finfo(dtype)
            self.register_buffer(name, torch.tensor([limit.min, limit.max, 1 / 3], dtype=dtype))
        for dtype in (torch.int64, torch.uint64, torch.int8):
            name = "at_" + str(dtype).removeprefix("torch.")
            limit = torch.iinfo(dtype)
            self.register_buffer(name, torch.tensor([limit.min, limit.max], dtype=dtype))
        self.register_buffer("complex64", torch.tensor([1 + 2j, 1e38 - 1e38j]))
        self.register_buffer("flag", torch.tensor([True, False]))


def fl_train_model(payload, out_dir):
    model = Net()
    model.set_weights(payload["initial_weights"])
    return {"weights": model.state_dict(), "samples": 7 + payload["env"]["CURRENT_ROUND"]}
"""


def test_buffers_at_the_limits_of_their_dtypes_come_back_as_they_are(
    federation: Callable[..., Federation],
) -> None:
    """shared/field/mask-overflow: an attention mask of finfo.min became -inf in round 1."""
    fed = federation(LIMITS, [1, 1], federation={"num_rounds": 2, "min_clients": 2})
    fed.start()
    assert fed.wait_end() == 0, fed.logs()
    first, last = fed.model(0), fed.model(2)
    assert set(first) == set(last)
    for name, value in first.items():
        assert last[name].dtype is value.dtype
        assert torch.equal(last[name].view(torch.uint8), value.view(torch.uint8)), name


def test_job_folder_that_nvflare_refuses_ends_the_run_at_once(
    federation: Callable[..., Federation],
) -> None:
    fed = federation(OWN, [1], federation={"num_rounds": 2})
    meta = fed.folder / "jobfolder/meta.json"
    # What an edited job folder, or a job_def of another NVFlare, may hold.
    meta.write_text(json.dumps({**json.loads(meta.read_text()), "resource_spec": ["gpu"]}))
    fed.start()
    assert fed.wait_end() == 1, fed.logs()
    status = fed.last_status()
    assert status.reason == "FederationFailed"
    assert status.message.startswith("NVFlare refuses this job: invalid job definition")
    assert "submit" not in status.retries
    assert status.segments == 0
