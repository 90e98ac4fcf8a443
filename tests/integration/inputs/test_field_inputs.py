"""The inputs in tests/field: training code written for other systems, which once failed here.

Each is validated and run by the runtime's own parts in one process; those that depend on processes,
network or surroundings are run for real in test_field_runs.py.
"""

from __future__ import annotations

import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from fedjob.preparation.prepare import prepare_text
from fedjob.preparation.prepared import LocalFiles
from fedjob.spec import FederatedJob
from fedjob.spec.validation.parse import parse_job
from integration.local_run.tiny_job import fedjob, finish
from support.field_shards import FIELD, job_text, make_shards, write_encoded
from support.runtime.one_process import Outcome, run_in_one_process


def validated(name: str, folder: Path, *options: str) -> tuple[int, str]:
    """Exit code and output of `fedjob validate`."""
    shards = make_shards(name, folder / "shards")
    arguments = [str(FIELD / name / "job.yaml"), "--shards", str(shards)]
    if (FIELD / name / "model_def.py").exists():
        arguments += ["--model-file", str(FIELD / name / "model_def.py")]
    code, out, err = finish(fedjob("validate", *arguments, *options))
    return code, out + err


def run(
    name: str, folder: Path, *, rounds: int = 1, model_file: Path | None = None,
    checkpoint: Path | None = None, spec: Mapping[str, Mapping[str, Any]] = {},
) -> Outcome:  # fmt: skip
    """Runs an input in one process, with `spec` on top of its sections."""
    text = job_text(name, rounds=rounds, **spec)
    beside = FIELD / name / "model_def.py"
    files = LocalFiles(
        base=FIELD / name,
        shards=make_shards(name, folder / "shards"),
        model_file=model_file or (beside if beside.exists() else None),
        checkpoint=checkpoint,
    )
    return run_in_one_process(prepare_text(text, "job.yaml", files), folder / "run")


def completed(name: str, folder: Path, *, rounds: int = 1, **more: Any) -> Outcome:
    """A run whose every worker answered in every round."""
    done = run(name, folder, rounds=rounds, **more)
    assert done.outcome == "complete", (done.error, done.failed, done.log)
    assert [line["failures"] for line in done.rounds] == [[]] * rounds
    return done


@pytest.mark.parametrize("name", sorted(path.name for path in FIELD.iterdir()))
def test_each_input_is_in_a_test_of_these_files(name: str) -> None:
    here = Path(__file__)
    texts = [path.read_text(encoding="utf-8") for path in here.parent.glob("test_field_*.py")]
    assert any(f'"{name}"' in text for text in texts)


@pytest.mark.parametrize(
    ("name", "messages"),
    [
        (
            "extra-clash-first-only",
            [
                "spec.training.extra.batch_size\n    is 2, but training.batchSize is 4",
                "spec.training.extra.DEVICE\n    is set by fedjob itself\n    fix: rename it",
                "spec.training.extra.EPOCHS\n    is 3, but training.localEpochs is 1",
                "3 faults",  # LR sets training.learningRate, which the job leaves open
            ],
        ),
        (
            "mixed-label-styles",
            ["labels are written in different ways", "a.zip: manifest.ndjson: class numbers",
             "b.zip: manifest.ndjson: lists of classes", "write y the same way in every shard"],
        ),
        (
            "one-hot-labels",
            ["y [0, 0, 1] looks like a one-hot vector", 'the class numbers instead: "y": [2]',
             "4 faults"],
        ),
        (
            "yaml-y-n",
            ["the key `n`, which YAML does not read as text", 'write `"n":`, in quotes',
             "spec.model.args.norm\n    is `y`, which kubectl reads as true",
             "is `1_000`, which kubectl reads as 1000", "is `0b11`, which kubectl reads as 3"],
        ),
    ],
)  # fmt: skip
def test_refused_before_the_run(name: str, messages: list[str], tmp_path: Path) -> None:
    code, output = validated(name, tmp_path)
    assert code == 2, output
    assert [message for message in messages if message not in output] == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "batchnorm-one-sample",
            "hint: b.zip has one sample, and BatchNorm cannot train on one: add samples, "
            "or use GroupNorm",
        ),
        (
            "complex128",
            "hint: line 8: a parameter or buffer of torch.complex128 cannot be saved and averaged, "
            "and the run would end before round 1; use torch.complex64 for it",
        ),
        ("nfd-names", "valid: 1 classes"),
        (
            "validation-needs-images",
            "x.bin is not an image, and the built-in evaluation reads images; write "
            "fl_validate(model, env, out_dir) into the model file, or drop spec.shards.validation",
        ),
    ],
)
def test_valid_with_this_message(name: str, message: str, tmp_path: Path) -> None:
    code, output = validated(name, tmp_path)
    assert code == 0, output
    assert message in output
    assert "fault" not in output


def test_to_yaml_quotes_what_kubectl_reads_otherwise() -> None:
    job = parse_job((FIELD / "function-model/job.yaml").read_text(encoding="utf-8"))
    content = job.model_dump(by_alias=True, exclude_unset=True)
    content["spec"]["model"]["args"] = {"n": 5, "norm": "y", "hex": "0X1F"}
    lines = [line.strip() for line in FederatedJob.model_validate(content).to_yaml().splitlines()]
    assert {'"n": 5', 'norm: "y"', 'hex: "0X1F"'} <= set(lines)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "latin-1"])
def test_model_file_in_an_encoding_that_python_runs(encoding: str, tmp_path: Path) -> None:
    name = "model-file-bom"
    model = write_encoded(FIELD / name / "plain.py", tmp_path / "model.py", encoding)
    code, output = validated(name, tmp_path, "--model-file", str(model))
    assert code == 0, output
    assert "valid: 3 classes" in output
    completed(name, tmp_path / "run", model_file=model)


def test_mean_of_equal_masks_is_the_mask(tmp_path: Path) -> None:
    done = completed("mask-overflow", tmp_path, rounds=2)
    expected = torch.zeros(8, 8)
    expected[7] = torch.finfo(torch.float32).min
    assert torch.equal(done.weights["mask"], expected)
    assert all(torch.isfinite(tensor).all() for tensor in done.weights.values())
    assert all("val_loss" in metrics for metrics in done.metrics)


def test_sparse_buffer_is_carried(tmp_path: Path) -> None:
    done = completed("sparse-buffer", tmp_path)
    assert torch.equal(done.weights["adjacency"], torch.eye(8))


@pytest.mark.parametrize(
    ("name", "tensor", "shape"),
    [
        ("dataclass-config", "body.0.weight", (32, 20)),
        ("factory-passes-validate", "0.weight", (32, 20)),
        ("function-model", "1.weight", (3, 192)),
        ("helper-module", "body.0.weight", (64, 20)),
        ("manifest-required", "body.0.weight", (64, 20)),
        ("nfd-names", "head.weight", (1, 192)),
        ("numpy-weights", "body.0.weight", (64, 20)),
        ("placeholder-label-sets-num-classes", "body.2.weight", (2, 64)),
    ],
)
def test_runs_as_it_is(name: str, tensor: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    done = completed(name, tmp_path)
    assert done.weights[tensor].shape == shape
    assert not [text for text in done.warnings if "initial" in text]


def test_module_beside_the_model_file_is_sent_with_it(tmp_path: Path) -> None:
    completed("sibling-module", tmp_path, model_file=FIELD / "sibling-module/net.py")


def test_whole_floats_become_the_integers_of_the_buffer(tmp_path: Path) -> None:
    tracked = completed("float-for-int-buffer", tmp_path).weights["body.1.num_batches_tracked"]
    assert (tracked.dtype, tracked.item()) == (torch.int64, 5)


def test_logger_can_be_called(tmp_path: Path) -> None:
    assert "{'msg': 'started'}" in completed("logger-not-callable", tmp_path).log


def test_extra_state_goes_from_round_to_round(tmp_path: Path) -> None:
    done = completed("extra-state-dropped", tmp_path, rounds=2)
    assert [(m["seen_before"], m["seen_after"]) for m in done.metrics] == [(0, 320), (320, 640)]


def test_part_of_the_state_dict_needs_partial(tmp_path: Path) -> None:
    done = run("lora-partial", tmp_path)
    assert done.outcome == "short"
    for fault in done.failed.values():
        assert fault["reason"] == "MissingTensor"
        assert "base.weight [64, 20] is missing" in fault["message"]
        assert "set federation.partial: true" in fault["message"]


def test_partial_answers_leave_the_base_as_it_was(tmp_path: Path) -> None:
    model = runpy.run_path(str(FIELD / "lora-partial/model_def.py"))["Net"]()
    before = dict(model.state_dict())
    save_file(before, tmp_path / "first.safetensors")
    done = completed(
        "lora-partial", tmp_path, checkpoint=tmp_path / "first.safetensors", rounds=2,
        spec={"federation": {"partial": True}},
    )  # fmt: skip
    after = done.weights
    assert after.keys() == before.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"lora_A.weight", "lora_B.weight", "head.weight", "head.bias"}


def test_root_cause_is_in_the_message(tmp_path: Path) -> None:
    done = run("traceback-lost", tmp_path)
    (fault,) = done.failed.values()
    assert fault["reason"] == "TrainingFailed"
    assert "KeyError: 'label', which led to RuntimeError: applying transform" in fault["message"]
    assert 'return {"a": 1}["label"]' in fault["message"]


def test_batch_norm_on_one_sample_is_explained(tmp_path: Path) -> None:
    done = run("batchnorm-one-sample", tmp_path)
    assert done.outcome == "short"
    (message,) = [fault["message"] for fault in done.failed.values()]
    assert "BatchNorm cannot train on one" in message


def test_validation_without_fl_validate_needs_images(tmp_path: Path) -> None:
    done = run("validation-needs-images", tmp_path)
    assert done.error["reason"] == "ImageInvalid"
    assert "uri 'x.bin'" in done.error["message"]
    assert "write fl_validate(model, env, out_dir)" in done.error["message"]
