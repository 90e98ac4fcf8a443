"""What training functions return, across processes: parts, differences, extra state, no model."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable

import pytest
import torch
from safetensors.torch import load_file

from support.federation import Federation

pytestmark = pytest.mark.federation

PARTS = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.base = nn.Linear(50, 40, bias=False)
        self.lora = nn.Linear(50, 2, bias=False)
        self.head = nn.Linear(2, 1, bias=False)


def fl_train(model, env, out_dir, logger=None):
    with torch.no_grad():
        model.lora.weight += 1 if env["SITE_NAME"] == "worker-0" else 4
        model.head.weight += 10
    names = ["lora.weight"] if env["SITE_NAME"] == "worker-0" else ["lora.weight", "head.weight"]
    state = model.state_dict()
    return {"weights": {name: state[name].numpy() for name in names},
            "num_samples": 1 if env["SITE_NAME"] == "worker-0" else 2}
"""


def test_part_of_the_model_is_averaged_over_the_workers_that_sent_it(
    federation: Callable[..., Federation],
) -> None:
    fed = federation(
        PARTS,
        [1, 1],
        train_fn="fl_train",
        federation={"num_rounds": 2, "min_clients": 2, "partial": True},
    )
    fed.start()
    assert fed.wait_end() == 0, fed.logs()
    start, end = fed.model(0), fed.model(2)
    assert end.keys() == start.keys()
    assert torch.equal(end["base.weight"], start["base.weight"])
    # Two rounds of (1 * 1 + 2 * 4) / 3; the head is worker-1's alone.
    assert torch.allclose(end["lora.weight"], start["lora.weight"] + 6)
    assert torch.allclose(end["head.weight"], start["head.weight"] + 20)
    # What travelled, and is kept for a round that is asked for again, is the part alone.
    answer = load_file(fed.home("worker-0") / "answers/1/weights.safetensors")
    assert set(answer) == {"lora.weight"}


DIFFERENCES = """
import os
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(30, 30)
        self.norm = nn.BatchNorm1d(30)


def fl_train_model(payload, out_dir, logger):
    env = payload["env"]
    logger({"state_dir": payload["state_dir"]})
    start = payload["initial_weights"]
    if env["SITE_NAME"] == "worker-1":
        # Forgets to say that it is a difference.
        torch.manual_seed(env["CURRENT_ROUND"])
        return {"weights": {k: 0.01 * torch.randn(v.shape) if v.is_floating_point()
                            else torch.zeros_like(v) for k, v in start.items()}, "samples": 3}
    past = os.path.join(payload["state_dir"], "rounds.txt")
    with open(past, "a") as file:
        file.write(f"{env['CURRENT_ROUND']}\\n")
    with open("manifest.ndjson") as manifest:
        assert manifest.readline()
    difference = {k: torch.full_like(v, 1) for k, v in start.items()}
    return {"kind": "diff", "weights": difference, "samples": 3,
            "metrics": {"rounds": len(open(past).readlines())}}
"""


def test_difference_is_added_where_declared_and_refused_elsewhere(
    federation: Callable[..., Federation],
) -> None:
    fed = federation(DIFFERENCES, [1, 1], federation={"num_rounds": 2, "min_clients": 1})
    fed.start()
    assert fed.wait_end() == 0, fed.logs()
    start, end = fed.model(0), fed.model(2)
    for name, value in start.items():
        assert torch.allclose(end[name], value + 2), name
    for commit in fed.commits():
        assert [p.name for p in commit.participants] == ["worker-0"]
        failure = next(f for f in commit.failures if f.name == "worker-1")
        assert failure.reason == "InvalidResult"
        assert '"kind": "diff"' in failure.message
    # The state folder outlives the round, and with it a restarted process.
    assert [c.metrics["rounds"] for c in fed.commits()] == [1, 2]
    assert (fed.home("worker-0") / "state/rounds.txt").read_text() == "0\n1\n"


EXTRA_STATE = """
import torch
from torch import nn


class Scaler(nn.Module):
    def __init__(self):
        super().__init__()
        self.seen, self.mean, self.owner = 0, torch.zeros(2), "nobody"

    def get_extra_state(self):
        return {"seen": self.seen, "mean": self.mean, "owner": (self.owner, None)}

    def set_extra_state(self, state):
        self.seen, self.mean, self.owner = state["seen"], state["mean"], state["owner"][0]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = Scaler()
        self.fc = nn.Linear(2, 2)


def fl_train(model, env, out_dir, logger=None):
    before = model.scale.seen
    model.scale.seen += 64
    model.scale.mean = model.scale.mean + (1.0 if env["SITE_NAME"] == "worker-0" else 3.0)
    model.scale.owner = env["SITE_NAME"]
    return {"weights": model.state_dict(), "samples": 5, "metrics": {"before": before}}
"""


def test_extra_state_of_modules_is_carried_from_round_to_round(
    federation: Callable[..., Federation],
) -> None:
    fed = federation(
        EXTRA_STATE, [1, 1], train_fn="fl_train", federation={"num_rounds": 3, "min_clients": 2}
    )
    fed.start()
    assert fed.wait_end() == 0, fed.logs()
    assert [commit.metrics["before"] for commit in fed.commits()] == [0, 64, 128]
    target = fed.folder / "GLOBAL_MODEL.pt"
    fed.bucket.download_file(fed.layout.model_out + "GLOBAL_MODEL.pt", target)
    state = torch.load(target, weights_only=True)["scale._extra_state"]
    assert (state["seen"], state["owner"]) == (192, ("worker-0", None))
    assert torch.equal(state["mean"], torch.full((2,), 6.0))


NO_MODEL = """
import json


def fl_train_model(payload):
    import numpy

    start, env = payload["initial_weights"], payload["env"]
    assert bool(start) == (env["CURRENT_ROUND"] > 0)
    table = start["table"].numpy() if start else numpy.zeros((2, 2))
    rows = [json.loads(line) for line in open("rows.jsonl")]
    return {"weights": {"table": table + len(rows)}, "samples": len(rows)}
"""


def rows(count: int) -> bytes:
    """A shard without a manifest."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("rows.jsonl", "".join(json.dumps({"x": i}) + "\n" for i in range(count)))
    return content.getvalue()


def test_without_a_model_the_first_answers_make_it(federation: Callable[..., Federation]) -> None:
    """Row 36; and row 17: the shards of a form A have no manifest."""
    fed = federation(
        NO_MODEL,
        [1, 1],
        class_name=None,
        shards=[rows(1), rows(3)],
        federation={"num_rounds": 2, "min_clients": 2},
    )
    fed.start()
    assert fed.wait_end() == 0, fed.logs()
    assert fed.model(0) == {}
    # Each round adds (1 * 1 + 3 * 3) / 4.
    assert fed.model(1)["table"].tolist() == [[2.5, 2.5], [2.5, 2.5]]
    assert fed.model(2)["table"].tolist() == [[5.0, 5.0], [5.0, 5.0]]
