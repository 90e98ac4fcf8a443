"""The inputs in tests/field whose fault lay in processes, network, logs or surroundings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from integration.local_run.hostile_surroundings import NAME
from integration.local_run.tiny_job import environment, fedjob, finish
from support.field_shards import FIELD, job_text, make_shards, write_encoded

pytestmark = pytest.mark.federation


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

    def logs(self, pattern: str) -> str:
        """Text of the log files."""
        files = sorted((self.out / ".fedjob/logs").glob(pattern))
        return "".join(path.read_text(errors="replace") for path in files)


def run(
    name: str, folder: Path, *, rounds: int = 1, out: str = "out", model_file: Path | None = None,
    env: Mapping[str, str] = {}, **spec: Mapping[str, Any],
) -> Run:  # fmt: skip
    """Runs an input with fewer rounds, and with `spec` on top of its sections."""
    folder.mkdir(parents=True, exist_ok=True)
    job, target = folder / "job.yaml", folder / out
    job.write_text(job_text(name, rounds=rounds, **spec))
    arguments = [str(job), "--shards", str(make_shards(name, folder / "shards"))]
    model_file = model_file or FIELD / name / "model_def.py"
    if model_file.exists():
        arguments += ["--model-file", str(model_file)]
    process = fedjob(
        "run", *arguments, "--out", str(target), env=environment(**env), cwd=folder
    )  # fmt: skip
    code, _stdout, stderr = finish(process)
    result = target / "result.json"
    return Run(code, stderr, target, json.loads(result.read_text()) if result.exists() else {})


def completed(name: str, folder: Path, *, rounds: int = 1, **more: Any) -> Run:
    """A run that reached its last round without a restart."""
    done = run(name, folder, rounds=rounds, **more)
    assert done.code == 0, done.stderr
    assert (done.result["state"], done.result["restarts"]) == ("Complete", {})
    assert len(done.result["rounds"]) == rounds
    return done


def test_settings_paths_and_encodings_of_the_machine(tmp_path: Path) -> None:
    """Inputs "aws-profile", "out-path-with-space", "sibling-module" and "model-file-bom"."""
    source = FIELD / "sibling-module"
    write_encoded(source / "net.py", tmp_path / "code/net.py", "latin-1")
    write_encoded(source / "scaling.py", tmp_path / "code/scaling.py", "utf-8-sig")
    done = completed(
        "sibling-module", tmp_path, out=NAME, model_file=tmp_path / "code/net.py",
        env={"AWS_PROFILE": "corp-sso", "AWS_DEFAULT_PROFILE": "corp-sso"},
    )  # fmt: skip
    assert "requirements" not in done.stderr


def test_complex128_is_refused_before_the_first_round(tmp_path: Path) -> None:
    done = run("complex128", tmp_path)
    assert done.code == 1
    assert done.result["reason"] == "ModelInvalid"
    assert done.result["message"] == (
        "Net.spectral is complex128, which cannot be saved and averaged; use complex64"
    )
    assert (done.result["rounds"], done.result["restarts"]) == ([], {})
    assert "worker-0: Failed" not in done.stderr


def test_data_loader_workers_end_no_training_process(tmp_path: Path) -> None:
    done = completed("dataloader-workers", tmp_path, rounds=4)
    assert "restarting" not in done.stderr
    assert all(line["clients"] == 2 for line in done.result["rounds"])


def test_extra_state_goes_over_the_network(tmp_path: Path) -> None:
    done = completed("extra-state-dropped", tmp_path, rounds=2)
    assert [(m["seen_before"], m["seen_after"]) for m in done.metrics] == [(0, 320), (320, 640)]


def test_partial_answers_make_a_whole_model(tmp_path: Path) -> None:
    done = completed("lora-partial", tmp_path, federation={"partial": True})
    assert {"base.weight", "lora_A.weight"} <= load_file(done.out / "model.safetensors").keys()


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
