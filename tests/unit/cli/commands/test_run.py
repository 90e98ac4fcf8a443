"""`fedjob run`: what the engine is given, and what is printed of its result."""

import json
from typing import ClassVar

import pytest

from fedjob.cli.commands import run as module
from fedjob.engines.local import engine as engines
from fedjob.engines.result import ModelFile, RunResult, RunState, round_lines
from fedjob.errors import InvalidInputError
from fedjob.preparation.prepared import PreparedRun
from support.run_samples import commit


class Engine:
    """Keeps what the command gives it, and answers with `result`."""

    result = RunResult(
        name="digits",
        namespace="default",
        state=RunState.COMPLETE,
        rounds=round_lines([commit(0), commit(1, loss=0.5)]),
        model=ModelFile(uri="file:///m", sha256="0" * 64, size=1),
    )
    made: ClassVar[list["Engine"]] = []

    def __init__(self, prepared: PreparedRun, folder, progress, *, fresh):
        self.prepared, self.folder, self.fresh = prepared, folder, fresh
        self.made.append(self)

    def run(self):
        return self.result


@pytest.fixture
def engine(monkeypatch, tmp_path):
    monkeypatch.setattr(engines, "LocalEngine", Engine)
    monkeypatch.setattr(module, "require_local_packages", lambda: None)
    monkeypatch.setattr(Engine, "made", [])
    monkeypatch.chdir(tmp_path)
    return Engine


def test_engine_gets_the_prepared_job_and_a_folder_of_its_name(file, fedjob, engine, tmp_path):
    result = fedjob("run", file)
    assert result.exit_code == 0, result.stderr
    [made] = engine.made
    assert list(made.prepared.workers) == ["worker-0", "worker-1"]
    assert made.folder.out == tmp_path / "fedjob-out/digits"
    assert made.fresh is False
    assert "hint" not in result.stdout
    assert "model_def.py imports absent_package" in result.stderr
    assert "2 shards" in result.stderr
    assert f"model   {made.folder.model}" in result.stdout
    assert f"report  {made.folder.report}" in result.stdout


def test_fresh_and_out_reach_the_engine_and_json_is_the_result(file, fedjob, engine, tmp_path):
    result = fedjob("run", file, "--fresh", "--out", tmp_path / "here", "--json")
    answer = json.loads(result.stdout)
    assert (answer["state"], answer["out"]) == ("Complete", str(tmp_path / "here"))
    assert [line["round"] for line in answer["rounds"]] == [1]
    [made] = engine.made
    assert made.fresh is True


def test_failed_run_shows_its_reason_and_logs_with_code_1(file, fedjob, engine, monkeypatch):
    failed = RunResult(
        name="digits",
        namespace="default",
        state=RunState.FAILED,
        reason="OutOfMemory",
        message="worker-0: reduce batch_size",
    )
    monkeypatch.setattr(Engine, "result", failed)
    result = fedjob("run", file)
    assert result.exit_code == 1
    assert "failed: OutOfMemory: worker-0: reduce batch_size" in result.stderr
    [made] = engine.made
    assert f"logs    {made.folder.logs}" in result.stdout
    assert str(made.folder.model) not in result.stdout


def test_fault_of_the_job_is_found_before_an_engine_is_made(file, fedjob, engine):
    file.write_text(file.read_text().replace('"digits"', '"Digits"'))
    result = fedjob("run", file, "--json")
    assert json.loads(result.stdout)["faults"][0]["field"] == "metadata.name"
    assert engine.made == []


def requiring(file, text):
    job = json.loads(file.read_text())
    job["spec"]["model"]["requirements"] = [text]
    file.write_text(json.dumps(job))


def test_missing_requirement_ends_the_run_before_an_engine_is_made(file, fedjob, engine):
    requiring(file, "fedjob-test-absent==1.0")
    result = fedjob("run", file)
    assert "fedjob-test-absent" in str(result.exception)
    assert "--install" in str(result.exception)
    assert not isinstance(result.exception, SystemExit | KeyError)
    assert engine.made == []


def test_missing_requirement_is_installed_for_this_job_only(
    file, fedjob, engine, monkeypatch, tmp_path
):
    asked = []

    def overlay(requirements, files, cache):
        asked.append(([each.text for each in requirements], sorted(files)))
        return tmp_path / "packages"

    monkeypatch.setattr("fedjob.engines.local.processes.overlay.overlay_for", overlay)
    requiring(file, "fedjob-test-absent==1.0")
    result = fedjob("run", file, "--install")
    assert result.exit_code == 0, result.stderr
    [made] = engine.made
    assert made.prepared.python_path == (tmp_path / "packages",)
    [(requirements, files)] = asked
    assert requirements == ["fedjob-test-absent==1.0"]
    assert "model_def.py" in files


def test_requirement_that_is_installed_needs_no_folder(file, fedjob, engine):
    requiring(file, "pytest")
    assert fedjob("run", file).exit_code == 0
    assert engine.made[0].prepared.python_path == ()


def test_no_such_file_is_wrong_input(fedjob, engine, tmp_path):
    assert isinstance(fedjob("run", tmp_path / "absent.yaml").exception, InvalidInputError)
