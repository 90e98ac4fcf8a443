"""The inputs in tests/field: training code written for other systems, which once failed here."""

from __future__ import annotations

import json
import runpy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from fedjob.spec import FederatedJob
from fedjob.spec.validation.parse import parse_job
from integration.local_run.hostile_surroundings import NAME
from integration.local_run.tiny_job import environment, fedjob, finish
from support.field_shards import FIELD, make_shards

federation = lambda test: pytest.mark.field(pytest.mark.federation(test))  # noqa: E731


def command(name: str, shards: Path, job: Path) -> list[str]:
    """The arguments that `fedjob validate` and `fedjob run` share."""
    arguments = [str(job), "--shards", str(shards)]
    if (FIELD / name / "model_def.py").exists():
        arguments += ["--model-file", str(FIELD / name / "model_def.py")]
    return arguments


def validated(name: str, folder: Path, *options: str) -> tuple[int, str]:
    """Exit code and output of `fedjob validate`."""
    shards = make_shards(name, folder / "shards")
    code, out, err = finish(
        fedjob("validate", *command(name, shards, FIELD / name / "job.yaml"), *options)
    )
    return code, out + err


@dataclass(frozen=True)
class Run:
    """What `fedjob run` left."""

    code: int
    """Its exit code."""
    stderr: str
    out: Path
    result: dict[str, Any]
    """result.json."""

    @property
    def metrics(self) -> list[dict[str, float]]:
        """The metrics of each round."""
        return [line["metrics"] for line in self.result["rounds"]]

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        """The final model."""
        return load_file(self.out / "model.safetensors")

    def logs(self, pattern: str) -> str:
        """Text of the log files."""
        files = sorted((self.out / ".fedjob/logs").glob(pattern))
        return "".join(path.read_text(errors="replace") for path in files)


def run(
    name: str, folder: Path, *options: str, rounds: int = 1, out: str = "out",
    spec: Mapping[str, Mapping[str, Any]] = {}, env: Mapping[str, str] = {},
) -> Run:  # fmt: skip
    """Runs an input with fewer rounds, and with `spec` on top of its sections."""
    job = yaml.safe_load((FIELD / name / "job.yaml").read_text(encoding="utf-8"))
    changes = {"federation": {"numRounds": rounds}, "workers": {"gpu": 0}}
    for section in (*changes, *spec):
        changed = changes.get(section, {}) | dict(spec.get(section, {}))
        job["spec"][section] = (job["spec"].get(section) or {}) | changed
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "job.yaml"
    path.write_text(json.dumps(job))
    shards = make_shards(name, folder / "shards")
    target = folder / out
    process = fedjob(
        "run", *command(name, shards, path), "--out", str(target), *options,
        env=environment(**env), cwd=folder,
    )  # fmt: skip
    code, _stdout, stderr = finish(process)
    result = target / "result.json"
    return Run(code, stderr, target, json.loads(result.read_text()) if result.exists() else {})


def completed(name: str, folder: Path, *options: str, rounds: int = 1, **more: Any) -> Run:
    """A run that reached its last round without a restart."""
    done = run(name, folder, *options, rounds=rounds, **more)
    assert done.code == 0, done.stderr
    assert (done.result["state"], done.result["restarts"]) == ("Complete", {})
    assert len(done.result["rounds"]) == rounds
    return done


@pytest.mark.parametrize("name", sorted(path.name for path in FIELD.iterdir()))
def test_each_input_is_in_a_test_of_this_file(name: str) -> None:
    assert f'"{name}"' in Path(__file__).read_text(encoding="utf-8")


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
    model = write_encoded(tmp_path / "model.py", encoding)
    code, output = validated(name, tmp_path, "--model-file", str(model))
    assert code == 0, output
    assert "valid: 3 classes" in output


def write_encoded(path: Path, encoding: str) -> Path:
    """The model file of model-file-bom, with what an editor of that encoding adds."""
    text = (FIELD / "model-file-bom/plain.py").read_text(encoding="utf-8")
    head = "# -*- coding: latin-1 -*-\n# Größe\n" if encoding == "latin-1" else "# Größe\n"
    path.write_bytes((head + text).replace("\n", "\r\n").encode(encoding))
    return path


@federation
def test_model_file_of_latin_1_is_imported_by_server_and_workers(tmp_path: Path) -> None:
    model = write_encoded(tmp_path / "latin1.py", "latin-1")
    completed("model-file-bom", tmp_path / "run", "--model-file", str(model))


@federation
def test_mean_of_equal_masks_is_the_mask(tmp_path: Path) -> None:
    done = completed("mask-overflow", tmp_path, rounds=2)
    expected = torch.zeros(8, 8)
    expected[7] = torch.finfo(torch.float32).min
    assert torch.equal(done.weights["mask"], expected)
    assert all(torch.isfinite(tensor).all() for tensor in done.weights.values())
    assert all("val_loss" in metrics for metrics in done.metrics)


@federation
def test_complex128_is_refused_before_the_first_round(tmp_path: Path) -> None:
    done = run("complex128", tmp_path)
    assert done.code == 1
    assert done.result["reason"] == "ModelInvalid"
    assert done.result["message"] == (
        "Net.spectral is complex128, which cannot be saved and averaged; use complex64"
    )
    assert (done.result["rounds"], done.result["restarts"]) == ([], {})
    assert "worker-0: Failed" not in done.stderr


@federation
def test_sparse_buffer_is_carried(tmp_path: Path) -> None:
    done = completed("sparse-buffer", tmp_path)
    assert torch.equal(done.weights["adjacency"], torch.eye(8))


@federation
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
    assert "WeightsNotLoaded" not in done.stderr


@federation
def test_module_beside_the_model_file_is_sent_with_it(tmp_path: Path) -> None:
    done = completed(
        "sibling-module", tmp_path, "--model-file", str(FIELD / "sibling-module/net.py")
    )
    assert "requirements" not in done.stderr


@federation
def test_data_loader_workers_end_no_training_process(tmp_path: Path) -> None:
    done = completed("dataloader-workers", tmp_path, rounds=6)
    assert "restarting" not in done.stderr
    assert all(line["clients"] == 2 for line in done.result["rounds"])


@federation
def test_extra_state_goes_from_round_to_round(tmp_path: Path) -> None:
    done = completed("extra-state-dropped", tmp_path, rounds=2)
    assert [(m["seen_before"], m["seen_after"]) for m in done.metrics] == [(0, 320), (320, 640)]


@federation
def test_whole_floats_become_the_integers_of_the_buffer(tmp_path: Path) -> None:
    tracked = completed("float-for-int-buffer", tmp_path).weights["body.1.num_batches_tracked"]
    assert (tracked.dtype, tracked.item()) == (torch.int64, 5)


@federation
def test_logger_can_be_called(tmp_path: Path) -> None:
    done = completed("logger-not-callable", tmp_path)
    assert "{'msg': 'started'}" in done.logs("worker-0*")


@federation
def test_part_of_the_state_dict_needs_partial(tmp_path: Path) -> None:
    done = run("lora-partial", tmp_path)
    assert done.code == 1
    assert done.result["reason"] == "MissingTensor"
    assert "base.weight [64, 20] is missing" in done.result["message"]
    assert "set federation.partial: true" in done.result["message"]


@federation
def test_partial_answers_leave_the_base_as_it_was(tmp_path: Path) -> None:
    model = runpy.run_path(str(FIELD / "lora-partial/model_def.py"))["Net"]()
    before = dict(model.state_dict())
    save_file(before, tmp_path / "first.safetensors")
    done = completed(
        "lora-partial", tmp_path, "--checkpoint", str(tmp_path / "first.safetensors"),
        rounds=2, spec={"federation": {"partial": True}},
    )  # fmt: skip
    after = done.weights
    assert after.keys() == before.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"lora_A.weight", "lora_B.weight", "head.weight", "head.bias"}


@federation
def test_numbers_of_numpy_are_metrics_and_what_is_dropped_has_its_own_reason(
    tmp_path: Path,
) -> None:
    done = completed("metric-warnings", tmp_path)
    assert done.metrics == [
        {"loss": 0.25, "f32": 0.5, "one": 0.75, "t": 0.25, "val/acc": 0.5, "größe 1": 2.0}
    ]
    assert done.result["rounds"][0]["samples"] == 10
    dropped = {line.split("metric ")[1].split()[0] for line in done.stderr.splitlines()
               if "MetricDropped: worker-0" in line}  # fmt: skip
    assert dropped == {"per_class", "nested", "flag", "nan", "text"}
    assert "WeightsNotLoaded" not in done.stderr


@federation
def test_message_and_log_have_the_root_cause(tmp_path: Path) -> None:
    done = run("traceback-lost", tmp_path)
    assert done.code == 1
    assert done.result["reason"] == "TrainingFailed"
    message = done.result["message"]
    assert "KeyError: 'label', which led to RuntimeError: applying transform" in message
    assert "in __getitem__" in message
    assert 'return {"a": 1}["label"]' in message
    log = done.logs("worker-0*")
    assert "The above exception was the direct cause of the following exception" in log
    assert "KeyError: 'label'" in log


@federation
def test_batch_norm_on_one_sample_is_explained(tmp_path: Path) -> None:
    done = run("batchnorm-one-sample", tmp_path)
    assert done.code == 1
    assert "BatchNorm cannot train on one" in done.result["message"]


@federation
def test_validation_without_fl_validate_needs_images(tmp_path: Path) -> None:
    done = run("validation-needs-images", tmp_path)
    assert done.code == 1
    assert done.result["reason"] == "ImageInvalid"
    assert "uri 'x.bin'" in done.result["message"]
    assert "write fl_validate(model, env, out_dir)" in done.result["message"]


@federation
@pytest.mark.parametrize(
    ("name", "out", "env"),
    [
        ("aws-profile", "out", {"AWS_PROFILE": "corp-sso", "AWS_DEFAULT_PROFILE": "corp-sso"}),
        ("out-path-with-space", NAME, {}),
    ],
)
def test_settings_and_paths_of_the_machine(
    name: str, out: str, env: dict[str, str], tmp_path: Path
) -> None:
    completed(name, tmp_path, out=out, env=env)
