"""More of each kind of input in tests/field: other dtypes, layouts, wrappers and ways to raise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from fedjob.errors import InvalidInputError
from fedjob.preparation.prepare import prepare_text
from fedjob.preparation.prepared import LocalFiles, PreparedRun
from support.field_shards import write_shard
from support.runtime.one_process import Outcome, run_in_one_process

HEAD = "import torch\nfrom torch import nn\n\n\n"
NET = (
    HEAD
    + """class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.line = nn.Linear(4, 2)
{more}


"""
)
ECHO = """def fl_train(model, env, out_dir):
    return {"weights": model.state_dict(), "samples": 1 + int(env["SITE_NAME"][-1])}
"""


def prepared(text: str, folder: Path, **spec: Any) -> PreparedRun:
    """The job of a model file, with two workers."""
    for name in ("a.zip", "b.zip"):
        write_shard(folder / "shards" / name, [], {"rows.csv": b"1,2\n"})
    sections = {
        "federation": {"numRounds": 2, "minClients": 2},
        "workers": {"gpu": 0},
        **spec,
        "model": {"source": {"inline": text}, "className": "Net", **spec.get("model", {})},
    }
    job = {
        "apiVersion": "fedjob.dev/v1alpha1",
        "kind": "FederatedJob",
        "metadata": {"name": "variant"},
        "spec": sections,
    }
    return prepare_text(json.dumps(job), "job.yaml", LocalFiles(folder))


def run(text: str, folder: Path, **spec: Any) -> Outcome:
    return run_in_one_process(prepared(text, folder, **spec), folder / "run")


def completed(text: str, folder: Path, **spec: Any) -> Outcome:
    done = run(text, folder, **spec)
    assert done.outcome == "complete", (done.error, done.failed, done.log)
    assert [line["failures"] for line in done.rounds] == [[]] * len(done.rounds)
    return done


EQUAL = {
    "float64-max": "torch.full((3,), torch.finfo(torch.float64).max, dtype=torch.float64)",
    "bfloat16-min": "torch.full((3,), torch.finfo(torch.bfloat16).min, dtype=torch.bfloat16)",
    "float16-max": "torch.full((3,), 65504.0, dtype=torch.float16)",
    "float32-denormal": "torch.full((3,), 1e-45)",
    "int64-limits": "torch.tensor([2**63 - 1, -(2**63), 2**53 + 1])",
    "uint64-max": "torch.tensor([2**64 - 1, 2**63 + 1], dtype=torch.uint64)",
    "bool": "torch.tensor([True, False])",
    "complex64": "torch.tensor([3e38 - 3e38j], dtype=torch.complex64)",
    "sparse-csr": "torch.eye(3).to_sparse_csr()",
    "empty": "torch.zeros(0, 4)",
    "not-contiguous": "torch.arange(6.0).reshape(2, 3).T",
}


@pytest.fixture(scope="module")
def equal_answers(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """One run whose buffers are all of `EQUAL`; every worker sends them as they are."""
    lines = [f"self.register_buffer({name!r}, {value})" for name, value in EQUAL.items()]
    more = "\n".join(f"        {line}" for line in lines)
    return completed(NET.format(more=more) + ECHO, tmp_path_factory.mktemp("equal"))


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
@pytest.mark.parametrize("name", EQUAL)
def test_mean_of_equal_values_is_that_value(equal_answers: Outcome, name: str) -> None:
    expected = eval(EQUAL[name], {"torch": torch})  # noqa: S307 (the table above)
    expected = expected.to_dense() if expected.layout != torch.strided else expected
    found = equal_answers.weights[name]
    assert found.dtype == expected.dtype
    assert torch.equal(found, expected)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("torch.zeros(2, dtype=torch.complex32)", "Net.odd is complex32"),
        (
            "torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)",
            "Net.odd is quantised (qint8)",
        ),
        ("torch.empty(2, device='meta')", "Net.odd"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_what_cannot_be_averaged_ends_the_job_before_round_1(
    value: str, message: str, tmp_path: Path
) -> None:
    more = f"        self.register_buffer('odd', {value})"
    done = run(NET.format(more=more) + ECHO, tmp_path)
    assert (done.outcome, done.error["reason"], done.rounds) == ("error", "ModelInvalid", [])
    assert message in done.error["message"]


RAISES = {
    "in-a-loader-worker": (
        "class Rows(torch.utils.data.Dataset):\n"
        "    def __len__(self):\n        return 3\n"
        "    def __getitem__(self, i):\n        return {'x': 1}['label']\n\n\n"
        "def fl_train(model, env, out_dir):\n"
        "    list(torch.utils.data.DataLoader(Rows(), num_workers=1))\n",
        ["KeyError: 'label'", "in __getitem__"],
    ),
    "from-none": (
        "def fl_train(model, env, out_dir):\n"
        "    try:\n        int('x')\n"
        "    except ValueError:\n        raise RuntimeError('no number') from None\n",
        ["RuntimeError: no number"],
    ),
    "in-a-group": (
        "def fl_train(model, env, out_dir):\n"
        "    raise ExceptionGroup('several', [ValueError('first'), KeyError('second')])\n",
        ["several", "first"],
    ),
    "leaves": (
        "import sys\ndef fl_train(model, env, out_dir):\n    sys.exit(3)\n",
        ["return a dict instead of leaving the process"],
    ),
    "reads-the-command-line": (
        "import argparse\ndef fl_train(model, env, out_dir):\n"
        "    parser = argparse.ArgumentParser()\n    parser.add_argument('data')\n"
        "    parser.parse_args([])\n",
        ["read no command line"],
    ),
    "absent-manifest": (  # row 27
        "import os\n\n\ndef fl_train(model, env, out_dir):\n"
        "    open(os.path.join(env['DATA_ROOT'], 'manifest.ndjson'))\n",
        ["FileNotFoundError", "manifest.ndjson", "must be at the root of a.zip"],
    ),
    "absent-file": (
        "def fl_train(model, env, out_dir):\n    open('labels/rows.csv')\n",
        ["has it at rows.csv"],
    ),
}


@pytest.mark.parametrize("kind", RAISES)
def test_root_cause_and_fix_are_in_the_message(kind: str, tmp_path: Path) -> None:
    code, expected = RAISES[kind]
    done = run(NET.format(more="") + code, tmp_path)
    assert done.outcome == "short"
    assert done.failed.keys() == {"worker-0", "worker-1"}
    message = done.failed["worker-0"]["message"]
    assert [text for text in expected if text not in message] == []
    assert "Traceback" in done.log


MODELS = {
    "nested-class": ("Models.Small", "class Models:\n    class Small(nn.Linear):\n"
                     "        def __init__(self):\n            super().__init__(4, 2)\n\n\n"),
    "lambda": ("make", "make = lambda: nn.Linear(4, 2)\n\n\n"),
    "instance": ("model", "model = nn.Linear(4, 2)\n\n\n"),
    "static-method": ("Zoo.small", "class Zoo:\n    @staticmethod\n    def small():\n"
                      "        return nn.Linear(4, 2)\n\n\n"),
}  # fmt: skip


@pytest.mark.parametrize("kind", MODELS)
def test_whatever_makes_a_model_may_be_named(kind: str, tmp_path: Path) -> None:
    name, code = MODELS[kind]
    done = completed(HEAD + code + ECHO, tmp_path, model={"className": name})
    assert done.weights.keys() == {"weight", "bias"}


def test_wrapper_prefixes_and_tied_weights_are_taken(tmp_path: Path) -> None:
    more = "        self.twin = nn.Linear(4, 2)\n        self.twin.weight = self.line.weight"
    train = (
        "def fl_train(model, env, out_dir):\n"
        "    state = {f'module._orig_mod.{n}': v + 1 for n, v in model.state_dict().items()}\n"
        "    del state['module._orig_mod.twin.weight']\n"
        "    return {'weights': state, 'num_samples': 2}\n"
    )
    done = completed(NET.format(more=more) + train, tmp_path)
    assert torch.equal(done.weights["twin.weight"], done.weights["line.weight"])
    assert torch.allclose(done.weights["line.weight"], done.initial_weights["line.weight"] + 2)
    reasons = {text.split(": ")[1] for text in done.warnings}
    assert reasons == {"WrapperPrefix", "TiedWeightFilled"}


def test_row_31_function_that_does_not_load_the_weights_is_warned_of(tmp_path: Path) -> None:
    train = (
        "def fl_train_model(payload):\n"
        "    weights = {0}\n"
        "    return {{'weights': Net().state_dict(), 'samples': 2}}\n"
    )
    text = NET.format(more="")
    done = completed(text + train.format("None"), tmp_path / "unread")
    assert {text.split(": ")[1] for text in done.warnings} == {"WeightsNotLoaded"}
    loads = train.format("Net().load_state_dict(payload['initial_weights'])")
    assert completed(text + loads, tmp_path / "read").warnings == []


def test_difference_that_is_sent_as_a_model_is_refused(tmp_path: Path) -> None:
    train = (
        "def fl_train(model, env, out_dir):\n"
        "    before = {n: v.clone() for n, v in model.state_dict().items()}\n"
        "    for p in model.parameters():\n        p.data += 0.01 * torch.randn_like(p)\n"
        "    after = model.state_dict()\n"
        "    return {'weights': {n: after[n] - before[n] for n in before}, 'samples': 2}\n"
    )
    done = run(NET.format(more="") + train, tmp_path)
    assert done.outcome == "short"
    assert '"kind": "diff"' in done.failed["worker-0"]["message"]


@pytest.mark.parametrize(
    ("extra", "field"),
    [({"IMG_SIZE": 32}, "img_size"), ({"EPOCHS": 3, "local_epochs": 3}, "local_epochs")],
)
def test_names_in_extra_reach_the_function_under_both_names(
    extra: dict[str, int], field: str, tmp_path: Path
) -> None:
    train = (
        "def fl_train_model(payload):\n"
        f"    value = payload['env'][{field!r}]\n"
        "    weights = payload['initial_weights']\n"
        "    return {'weights': weights, 'samples': 2, 'metrics': {'v': value}}\n"
    )
    done = completed(NET.format(more="") + train, tmp_path, training={"extra": extra})
    assert done.metrics[0]["v"] == next(iter(extra.values()))


def test_all_contradictions_of_a_job_come_at_once(tmp_path: Path) -> None:
    extra = {"IMG_SIZE": 32, "LR": 0.5, "SITE_NAME": "me", "NUM_ROUNDS": 9}
    training = {"imgSize": 64, "learningRate": 0.1, "extra": extra}
    with pytest.raises(InvalidInputError) as caught:
        prepared(NET.format(more="") + ECHO, tmp_path, training=training)
    assert [fault.field for fault in caught.value.faults] == [
        "spec.training.extra.IMG_SIZE",
        "spec.training.extra.LR",
        "spec.training.extra.SITE_NAME",
    ]
