"""An answer that cannot be decoded and comes when its round is over costs its worker nothing more.

NVFlare gives a worker its task again for as long as it has no answer that could be decoded, so a
second bad answer can be on its way when the round ends. It does not say whose round it is of.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fedjob.reasons import Reason
from support.federation import Federation, shard_bytes

pytestmark = pytest.mark.federation

# In round 2 worker-2 sends what no decoder takes, is given the task again, and sends the like once
# more when the others are in round 3. The signs put these steps in order, without any clock.
MODEL = """
import time
from pathlib import Path

from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from nvflare.app_common.utils.fl_model_utils import FLModelUtils
from nvflare.private.fed.client.client_runner import ClientRunner
from torch import nn

from fedjob_runtime.worker.executor import TrainExecutor


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(2, 2)


def wait_for(sign):
    end = time.monotonic() + 60
    while not sign.exists():
        if time.monotonic() > end:
            raise TimeoutError(f"no {sign.name} in 60 s")
        time.sleep(0.02)


def fl_train_model(payload, out_dir):
    env, signs = payload["env"], Path(payload["env"]["signs"])
    if env["SITE_NAME"] == "worker-2":
        if env["CURRENT_ROUND"] == 2:
            time.sleep(1)  # the others answer first
    elif env["CURRENT_ROUND"] == 1:
        wait_for(signs / "given-again")
    elif env["CURRENT_ROUND"] == 2:
        (signs / "next-round").touch()
        wait_for(signs / "late-answer-sent")
    return {"weights": payload["initial_weights"], "samples": 5}


class Rogue(TrainExecutor):
    tries = 0

    def execute(self, task_name, shareable, fl_ctx, abort_signal):
        signs = Path(self._hyperparameters["extra"]["signs"])
        number = int(shareable.get_header("current_round") or 0)
        if fl_ctx.get_identity_name() != "worker-2" or number == 0:
            return super().execute(task_name, shareable, fl_ctx, abort_signal)
        if number == 2:
            (signs / "late-answer-sent").touch()
            return super().execute(task_name, shareable, fl_ctx, abort_signal)
        self.tries += 1
        if self.tries == 2:
            (signs / "given-again").touch()
            wait_for(signs / "next-round")
            # An honest one asks whether its task is still there just before it answers.
            ClientRunner._check_task_once = lambda *_: 0
        name = "nvflare.fuel.utils.fobs.decomposer.DataClassDecomposer"
        forged = {"__fobs_type__": "no.Class", "__fobs_dc__": name, "__fobs_data__": {"data": {}}}
        model = FLModel(
            params_type=ParamsType.FULL,
            params={"fc.bias": forged},
            current_round=number,
            meta={"samples": 5},
        )
        return FLModelUtils.to_shareable(model)
"""


def test_a_bad_answer_of_the_round_before_does_not_count_in_this_one(
    federation: Callable[..., Federation], tmp_path: Path
) -> None:
    """The worker's good answer of the round that is under way is waited for, and taken."""
    fed = federation(
        MODEL,
        [5, 5, 5],
        shards=[shard_bytes(5)] * 3,
        federation={"num_rounds": 3, "min_clients": 2, "wait_time_after_min_received": 120},
        components={"executor": {"path": "model_def.Rogue"}},
        extra={"signs": str(tmp_path)},
    )
    fed.start()
    assert fed.wait_end() == 0, fed.logs()

    first, second, third = fed.commits()
    assert sorted(p.name for p in second.participants) == ["worker-0", "worker-1"]
    assert [(f.name, f.reason) for f in second.failures] == [("worker-2", Reason.INVALID_RESULT)]
    for commit in (first, third):
        assert sorted(p.name for p in commit.participants) == fed.workers, commit
        assert not commit.failures
    log = (fed.folder / "server.log").read_text()
    assert "too late to count (InvalidResult): worker-2: its answer cannot be decoded" in log
