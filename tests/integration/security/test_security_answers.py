"""A worker with a good certificate and bad answers: refused, named, and the others go on."""

from __future__ import annotations

import contextlib
import io
import json
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from fedjob.reasons import Reason
from support.federation import Federation, shard_bytes

pytestmark = pytest.mark.federation

ROGUE = "worker-2"

# worker-2 does in each round what CASES says; the other two are well-behaved. What it sends past
# fedjob's own executor is made with NVFlare's own parts, as an attacker would.
MODEL = """
import io, os, pickle, sys
import numpy as np
import torch
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from nvflare.app_common.np.np_downloader import ArrayDownloadable
from nvflare.app_common.utils.fl_model_utils import FLModelUtils
from torch import nn

from fedjob_runtime.training.data.dataset import ManifestDataset
from fedjob_runtime.worker.executor import TrainExecutor

GIB = 1 << 30


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(512, 512)  # one MiB


class Mine:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (self.path,))


def fl_train_model(payload, out_dir):
    env, weights = payload["env"], dict(payload["initial_weights"])
    weights["fc.bias"] = weights["fc.bias"] + 1
    case = env["cases"][env["CURRENT_ROUND"]] if env["SITE_NAME"] == "worker-2" else "good"
    if case == "huge return":
        weights["fc.weight"] = torch.zeros(2 * GIB // 4)
    elif case == "pickled file":
        torch.save(nn.Linear(2, 2), out_dir / "state_dict.pt")
        return {"samples": 5}
    elif case == "metadata":
        ManifestDataset(payload["dataset"]["data_root"], "images.ndjson", 8, 2)[0]
    return {"weights": weights, "samples": 5}


def fobs_object(name, decomposer, data):
    return {"__fobs_type__": name, "__fobs_dc__": decomposer, "__fobs_data__": data}


class Rogue(TrainExecutor):
    def execute(self, task_name, shareable, fl_ctx, abort_signal):
        worker = fl_ctx.get_identity_name()
        number = int(shareable.get_header("current_round") or 0)
        extra = self._hyperparameters["extra"]
        case = extra["cases"][number]
        if worker != "worker-2" or case not in FORGED:
            return super().execute(task_name, shareable, fl_ctx, abort_signal)
        model = FLModel(
            params_type=ParamsType.FULL,
            params=FORGED[case](extra["mine"]),
            current_round=number,
            meta={"samples": 5},
        )
        return FLModelUtils.to_shareable(model)


DATA_CLASS = "nvflare.fuel.utils.fobs.decomposer.DataClassDecomposer"
TENSOR = "nvflare.app_opt.pt.decomposers.TensorDecomposer"
ARRAY = "nvflare.app_common.decomposers.numpy_decomposers.NumpyArrayDecomposer"


def a_class(mine):
    return {
        "fc.bias": fobs_object("subprocess.Popen", DATA_CLASS, {"data": {"args": ["mkdir", mine]}})
    }


def a_decomposer(mine):
    return {"fc.bias": fobs_object("model_def.Mine", "model_def.Mine", {"data": {"path": mine}})}


def a_pickled_tensor(mine):
    data = {"type": "native", "data": pickle.dumps(Mine(mine))}
    return {"fc.bias": fobs_object("torch.Tensor", TENSOR, data)}


def a_pickled_array(mine):
    buffer = io.BytesIO()
    np.save(buffer, np.array([Mine(mine)], dtype=object), allow_pickle=True)
    data = {"type": "native", "data": buffer.getvalue()}
    return {"fc.bias": fobs_object("numpy.ndarray", ARRAY, data)}


def a_huge_tensor(mine):
    return {"fc.weight": torch.zeros(2 * GIB // 4)}


def many_tensors(mine):
    return {f"t{i}": torch.zeros(3 << 18) for i in range(40)}  # 3 MiB each: fetched one by one


def many_small_tensors(mine):
    return {f"t{i}": torch.zeros(1 << 18) for i in range(40)}  # 1 MiB each: in the answer itself


def a_bomb(mine):
    def produce(self, index):
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **{self.keys[index]: self.base_obj[self.keys[index]]})
        return buffer.getvalue()

    ArrayDownloadable.produce_item = produce
    return {"fc.weight": np.zeros(1 << 24, np.float32)}


FORGED = {
    "class": a_class,
    "decomposer": a_decomposer,
    "pickled tensor": a_pickled_tensor,
    "pickled array": a_pickled_array,
    "huge tensor": a_huge_tensor,
    "many tensors": many_tensors,
    "many small tensors": many_small_tensors,
    "bomb": a_bomb,
}
"""

CASES = {
    "class": (Reason.INVALID_RESULT, "subprocess.Popen"),
    "decomposer": (Reason.INVALID_RESULT, "model_def.Mine"),
    "pickled tensor": (Reason.INVALID_RESULT, "cannot be decoded"),
    "pickled array": (Reason.INVALID_RESULT, "allow_pickle=False"),
    "pickled file": (Reason.CHECKPOINT_INVALID, "could run code"),
    "huge return": (Reason.SHAPE_MISMATCH, "fc.weight"),
    "many tensors": (Reason.RESULT_TOO_LARGE, "return model.state_dict() and nothing else"),
    "many small tensors": (Reason.RESULT_TOO_LARGE, "return model.state_dict() and nothing else"),
    "bomb": (Reason.RESULT_TOO_LARGE, "return model.state_dict() and nothing else"),
    "huge tensor": (Reason.RESULT_TOO_LARGE, "return model.state_dict() and nothing else"),
    "metadata": (Reason.IMAGE_REFUSED, "address that is not public: 169.254.169.254"),
}


def peak(pid: int) -> int:
    """The most memory that a process has held, bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0  # it has ended


def images_shard() -> bytes:
    buffer = io.BytesIO(shard_bytes(5))
    with zipfile.ZipFile(buffer, "a") as archive:
        uri = "https://169.254.169.254/latest/meta-data/"
        archive.writestr("images.ndjson", json.dumps({"id": "a", "uri": uri, "y": 0}) + "\n")
    return buffer.getvalue()


def test_a_bad_answer_runs_nothing_fills_nothing_and_costs_its_worker_alone(
    federation: Callable[..., Federation], tmp_path: Path
) -> None:
    """Pickles, forged types, 2 GB for a 1 MB model, a bomb, an address of the cloud's metadata."""
    mine = tmp_path / "code-has-run"
    cases = ["good", *CASES, "good"]
    fed = federation(
        MODEL,
        [5, 5, 5],
        shards=[shard_bytes(5), shard_bytes(5), images_shard()],
        federation={
            "num_rounds": len(cases),
            "min_clients": 2,
            "wait_time_after_min_received": 120,
        },
        components={"executor": {"path": "model_def.Rogue"}},
        extra={"cases": cases, "mine": str(mine)},
    )
    fed.start()
    fed.until(lambda s: s.completed >= 1, what="the first round")
    job = fed.pid_of("server", "job_process.main")
    before = highest = peak(job)
    while fed.processes["server"].poll() is None:
        with contextlib.suppress(OSError):
            highest = max(highest, peak(job))
        time.sleep(0.05)
    assert fed.wait_end() == 0, fed.logs()

    assert not mine.exists(), "a worker's bytes were run as code on the server"
    log = (fed.folder / "server.log").read_text()
    commits = fed.commits()
    assert [commit.round for commit in commits] == list(range(1, len(cases) + 1))
    for commit, case in zip(commits, cases, strict=True):
        taken = [p.name for p in commit.participants]
        if case == "good":
            assert sorted(taken) == fed.workers, (case, commit.failures)
            continue
        reason, fragment = CASES[case]
        assert sorted(taken) == ["worker-0", "worker-1"], case
        assert [(f.name, f.reason) for f in commit.failures] == [(ROGUE, reason)], (case, commit)
        message = commit.failures[0].message
        assert message.startswith(f"{ROGUE}: "), message
        assert fragment in message, (case, message)
        assert ";" in message, f"{case}: no fix in {message}"
        if "more than the" in message or "decoded" in message:
            assert message[:200] in log, case
    status = fed.last_status()
    assert status.segments == 1, f"a bad answer ended a segment: {status.retries}"
    assert {str(reason) for reason, _ in CASES.values()} <= {
        event.reason for event in status.events
    }
    # What is on the way when it is refused, and what 13 rounds leave; NVFlare alone takes all 2 GB.
    assert highest - before < 512 << 20, f"{(highest - before) >> 20} MiB more"
    print(f"server's job process: {before >> 20} MiB, at most {highest >> 20} MiB")
