"""Rounds of a real federation: what is sent, trained, averaged and committed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest
import torch

from support.federation import AGENT, Federation

pytestmark = pytest.mark.federation

# A model with an integer buffer and a bfloat16 layer, whose training leaves a record of itself.
RECORDING = """
import json
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(6, 4)
        self.norm = nn.BatchNorm1d(4)
        self.low = nn.Linear(4, 2).to(torch.bfloat16)

    def forward(self, x):
        return self.low(self.norm(self.fc(x)).to(torch.bfloat16))


def fl_train_model(payload, out_dir, logger):
    root, env = payload["dataset"]["data_root"], payload["env"]
    with open(f"{root}/manifest.ndjson") as manifest:
        samples = sum(1 for _ in manifest)
    model = Net()
    model.set_weights(payload["initial_weights"])
    model.train()
    seed = 1000 * env["CURRENT_ROUND"] + int(env["SITE_NAME"].rsplit("-", 1)[1])
    torch.manual_seed(seed)
    for _ in range(1 + seed % 3):
        loss = model(torch.randn(8, 6)).float().pow(2).mean()
        model.zero_grad()
        loss.backward()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter -= 0.3 * parameter.grad
    torch.save(model.state_dict(), f"{out_dir}/returned.pt")
    torch.save(payload["initial_weights"].copy(), f"{out_dir}/initial.pt")
    with open(f"{root}/../calls.ndjson", "a") as calls:
        calls.write(json.dumps({"env": env, "out_dir": str(out_dir), "root": root}) + "\\n")
    return {"weights": model.state_dict(), "samples": samples, "metrics": {"loss": loss.item()}}
"""


@pytest.mark.parametrize("samples", [[7], [3, 11], [1, 20, 2, 9, 5]], ids=["1", "2", "5"])
def test_every_committed_model_is_the_weighted_mean_of_what_workers_returned(
    federation: Callable[..., Federation], samples: list[int]
) -> None:
    """Rows 6, 7, 8, 9, 10, 11, 12, 13 with processes and mTLS."""
    rounds = 3
    fed = federation(
        RECORDING,
        samples,
        federation={"num_rounds": rounds, "min_clients": len(samples), "job_name": "averaging"},
        extra={"flavour": "vanilla"},
    )
    fed.start()
    assert fed.wait_end() == 0, fed.logs()

    assert fed.log.commits() == list(range(rounds + 1))
    for number, commit in enumerate(fed.commits(), start=1):
        assert sorted((p.name, p.samples) for p in commit.participants) == sorted(
            (f"worker-{i}", count) for i, count in enumerate(samples)
        )
        before, after = fed.model(number - 1), fed.model(number)
        returned = []
        for worker, count in zip(fed.workers, samples, strict=True):
            out = fed.home(worker) / f"shard/runs/round_{number - 1}"
            initial = torch.load(out / "initial.pt", weights_only=True)
            assert initial.keys() == before.keys()
            for name, value in before.items():  # row 7: the very weights, dtype and all
                assert torch.equal(initial[name], value), name
                assert initial[name].dtype is value.dtype
            returned.append((count, torch.load(out / "returned.pt", weights_only=True)))
        _assert_mean(after, returned)
        total = sum(samples)
        want = sum(p.metrics["loss"] * p.samples for p in commit.participants) / total
        assert commit.metrics["loss"] == pytest.approx(want)

    for worker in fed.workers:  # rows 8 and 9
        calls = [
            json.loads(line)
            for line in (fed.home(worker) / "calls.ndjson").read_text().splitlines()
        ]
        assert [call["env"]["CURRENT_ROUND"] for call in calls] == list(range(rounds))
        for number, call in enumerate(calls):
            assert call["env"] == {
                "SITE_NAME": worker,
                "JOB_ID": "job",
                "CURRENT_ROUND": number,
                "DEVICE": "cpu",
                "local_epochs": 1,
                "batch_size": 8,
                "learning_rate": 0.1,
                "num_classes": 0,
                "img_size": 8,
                "manifest_file": "manifest.ndjson",
                "NUM_ROUNDS": 0,  # of a job folder that does not have them
                "NUM_CLIENTS": 0,
                "SHARD_NAME": f"shard-{fed.workers.index(worker)}.zip",
                "STATE_DIR": str(fed.home(worker) / "state"),
                "flavour": "vanilla",
            }
            assert call["root"] == str(fed.home(worker) / "shard")
            assert call["out_dir"] == f"{call['root']}/runs/round_{number}"
    # A training process looks every half second whether the one that started it is gone.
    # The agent alone stays: on a cluster the kubelet ends it after the supervisor.
    deadline = time.monotonic() + 60
    while (left := set(fed.orphans()) - {fed.processes[AGENT].pid}) or any(
        fed.processes[worker].poll() is None for worker in fed.workers
    ):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def _assert_mean(
    after: dict[str, torch.Tensor], returned: list[tuple[int, dict[str, torch.Tensor]]]
) -> None:
    """Tolerances as in test_fedavg.py: 2e-6 in float32, half a bfloat16 unit."""
    total = sum(count for count, _ in returned)
    for name, value in after.items():
        want = sum(weights[name].double() * (count / total) for count, weights in returned)
        assert isinstance(want, torch.Tensor)
        if value.dtype is torch.bfloat16:
            torch.testing.assert_close(value.double(), want, rtol=2**-8, atol=1e-6)
        elif value.dtype is torch.int64:
            assert value.item() == round(want.item()), name
        else:
            torch.testing.assert_close(value.double(), want, rtol=2e-6, atol=2e-6)
