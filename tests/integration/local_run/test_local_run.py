"""`fedjob run`, as a person runs it: to the end, interrupted, killed, resumed (rows 12, 13)."""

import hashlib
import json
import os
import signal

import pytest
import torch
from safetensors.torch import load_file

from fedjob.engines.local.engine import LocalEngine
from fedjob.engines.local.interruption import InterruptedRunError
from fedjob.engines.local.run_folder import RunFolder
from fedjob.engines.result import RunState
from fedjob.preparation.prepare import prepare_text
from fedjob.preparation.prepared import LocalFiles
from integration.local_run.tiny_job import (
    PATIENCE,
    committed,
    environment,
    fedjob,
    finish,
    job,
    left,
    until,
    write_job,
    write_shards,
)

pytestmark = pytest.mark.federation


@pytest.fixture
def shards(tmp_path):
    return write_shards(tmp_path / "shards")


def command_of(pid):
    """(command line, environment) of a process; None when it has just ended."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            line = file.read().replace(b"\0", b" ").decode()
        with open(f"/proc/{pid}/environ", "rb") as file:
            pairs = (entry.split(b"=", 1) for entry in file.read().split(b"\0") if b"=" in entry)
            return line, dict(pairs)
    except FileNotFoundError:
        return None


def process_with(out, text):
    """The id of the run's process whose command line has this text (not of its supervisor)."""
    seen = {pid: command[0] for pid in left(out) if (command := command_of(pid))}
    found = [pid for pid, line in seen.items() if text in line and "die_with_parent.py" not in line]
    assert len(found) == 1, (text, seen)
    return found[0]


def check_results(out, rounds):
    """The result is whole, agrees with itself, and every round was trained exactly once."""
    result = json.loads((out / "result.json").read_text())
    assert result["state"] == "Complete"
    assert [line["round"] for line in result["rounds"]] == list(range(1, rounds + 1))
    assert {"round", "clients", "samples", "metrics", "seconds"} == set(result["rounds"][0])
    assert all(line["samples"] == 20 and line["clients"] == 2 for line in result["rounds"])
    model = out / "model.safetensors"
    assert result["model"]["sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    assert result["model"]["size"] == model.stat().st_size
    weights = load_file(model)
    legacy = torch.load(out / "GLOBAL_MODEL.pt", weights_only=True)
    assert weights.keys() == legacy.keys() == {"line.weight", "line.bias"}
    for name, tensor in weights.items():
        assert torch.equal(tensor, torch.full_like(tensor, rounds)), name
        assert torch.equal(tensor, legacy[name])
    assert weights["line.bias"].shape == (3,), "num_classes is inferred from the shards"
    assert "tiny" in (out / "report.html").read_text()
    assert left(out) == []
    return result


def test_a_run_to_its_end_and_what_another_call_does(tmp_path, shards):
    """Complete; again: says so; another job: refused; more rounds: resumed."""
    out = tmp_path / "out"
    job = write_job(tmp_path, rounds=2)
    code, stdout, stderr = finish(fedjob("run", job, "--out", out))
    assert code == 0, stderr
    assert "\x1b" not in stdout + stderr, "control characters without a terminal"
    assert "ROUND" in stdout
    assert str(out / "report.html") in stdout
    assert "round 2/2: 2 clients, 20 samples, accuracy 0.5" in stderr
    check_results(out, 2)

    before = (out / "result.json").read_bytes()
    code, stdout, stderr = finish(fedjob("run", job, "--out", out, "--json"))
    assert code == 0, stderr
    assert json.loads(stdout)["state"] == "Complete"
    assert "complete already" in stderr
    assert (out / "result.json").read_bytes() == before

    job = write_job(tmp_path, rounds=2, training={"learningRate": 0.5})
    code, stdout, stderr = finish(fedjob("run", job, "--out", out, "--json"))
    assert code == 2
    faults = json.loads(stdout)["faults"]
    assert "spec.training.learningRate" in [fault["field"] for fault in faults]
    assert "--fresh" in stderr
    assert "Traceback" not in stderr
    assert (out / "result.json").read_bytes() == before

    job = write_job(tmp_path, rounds=3)
    code, stdout, stderr = finish(fedjob("run", job, "--out", out))
    assert code == 0, stderr
    assert "resuming the run in this folder" in stderr
    check_results(out, 3)


def test_broken_off_and_killed_it_leaves_nothing_and_goes_on(tmp_path, shards):
    """Ctrl-C (in the whole terminal group) in one round, kill -9 in another, then to the end."""
    out = tmp_path / "out"
    job = write_job(tmp_path, rounds=4, pause=1.0)
    process = fedjob("run", job, "--out", out, start_new_session=True)
    until(lambda: committed(out) >= 1, process)
    assert len(left(out)) >= 5, "store, server, two workers and NVFlare's processes"
    os.killpg(process.pid, signal.SIGINT)
    code, _, stderr = finish(process)
    assert code == 130
    assert "run the same command again" in stderr
    assert "Traceback" not in stderr
    assert left(out) == []
    assert not (out / "result.json").exists()
    done = committed(out)
    assert done < 4

    process = fedjob("run", job, "--out", out)
    until(lambda: committed(out) > done, process)
    process.kill()
    _, stderr = process.communicate()
    assert f"resumes after round {done}" in stderr
    assert f"round {done}/4" not in stderr, "an earlier run's rounds are no news"
    until(lambda: left(out) == [])

    code, _, stderr = finish(fedjob("run", job, "--out", out))
    assert code == 0, stderr
    check_results(out, 4)


def test_what_dies_is_started_again_and_every_round_counts_once(tmp_path, shards):
    """Row 13: SIGKILL of a worker, of the S3 server and of the federation's server, one a round."""
    out = tmp_path / "out"
    process = fedjob("run", write_job(tmp_path, rounds=4, pause=1.0), "--out", out, "--json")
    for number, mark in enumerate(
        ("configs/worker-0.json", "weed mini", "server.main --config"), 1
    ):
        until(lambda number=number: committed(out) >= number, process)
        os.kill(process_with(out, mark), signal.SIGKILL)
    code, stdout, stderr = finish(process)
    assert code == 0, stderr
    assert check_results(out, 4)["restarts"] == {"worker-0": 1, "server": 1}
    assert json.loads(stdout)["restarts"] == {"worker-0": 1, "server": 1}
    assert "the store ended and was restarted" in stderr
    assert "worker-0 ended with signal 9" in stderr


def test_two_runs_in_one_folder_are_refused_and_in_two_do_not_meet(tmp_path, shards):
    """Also row 38: no worker, nor its training process, has the store's keys or the user's."""
    gate = tmp_path / "gate"
    job = write_job(tmp_path, rounds=3, gate=gate)
    secret = {"AWS_ACCESS_KEY_ID": "MINE", "AWS_SECRET_ACCESS_KEY": "MINE-TOO"}
    one = fedjob("run", job, "--out", tmp_path / "one", env=environment(**secret))
    two = fedjob("run", job, "--out", tmp_path / "two")
    try:
        until(lambda: committed(tmp_path / "one") >= 1, one)
        code, stdout, stderr = finish(fedjob("run", job, "--out", tmp_path / "one", "--json"))
        assert code == 3
        assert json.loads(stdout)["exitCode"] == 3
        assert f"kill {one.pid}" in stderr

        seen = [process for pid in left(tmp_path / "one") if (process := command_of(pid))]
        workers = [env for line, env in seen if "worker-" in line]
        assert len(workers) >= 4, "two commands and their NVFlare processes"
        assert not any(b"AWS_SECRET_ACCESS_KEY" in env for env in workers)
        assert not any(b"MINE-TOO" in env.values() for _, env in seen)
        servers = [env for line, env in seen if "fedjob_runtime.server." in line]
        assert len(servers) >= 2, "the supervisor and the agent"
        assert not any(b"AWS_SECRET_ACCESS_KEY" in env for env in servers)
    finally:
        gate.touch()

    for process, out in ((one, tmp_path / "one"), (two, tmp_path / "two")):
        code, _, stderr = finish(process)
        assert code == 0, stderr
        check_results(out, 3)


def test_training_that_fails_ends_with_1_the_reason_and_nothing_left(tmp_path, shards):
    out = tmp_path / "out"
    job = write_job(tmp_path, fail=True)
    code, stdout, stderr = finish(fedjob("run", job, "--out", out, "--json"))
    assert code == 1, stderr
    result = json.loads(stdout)
    assert result["state"] == "Failed"
    assert result["reason"] == "TrainingFailed"
    assert "the data is upside down" in result["message"]
    assert result["model"] is None
    assert json.loads((out / "result.json").read_text())["state"] == "Failed"
    assert "upside down" in (out / "report.html").read_text()
    assert left(out) == []

    mended = write_job(tmp_path, rounds=1)
    code, _, stderr = finish(fedjob("run", mended, "--out", out))
    assert code == 2, "another job: its extra changed"
    assert "--fresh" in stderr
    code, _, stderr = finish(fedjob("run", mended, "--out", out, "--fresh"))
    assert code == 0, stderr
    check_results(out, 1)


def test_the_deadline_ends_the_run_with_its_reason(tmp_path, shards):
    job = write_job(tmp_path, runPolicy={"activeDeadlineSeconds": 1})
    code, stdout, stderr = finish(fedjob("run", job, "--out", tmp_path / "out", "--json"))
    assert code == 1, stderr
    assert json.loads(stdout)["reason"] == "DeadlineExceeded"
    assert left(tmp_path / "out") == []


def test_run_submitted_from_python_is_followed_suspended_and_resumed(tmp_path, shards):
    """The verbs of engines/base, in a thread of this process."""
    text = json.dumps(job(rounds=3, pause=0.5))
    prepared = prepare_text(text, "job.yaml", LocalFiles(shards=shards))
    folder = RunFolder.at(tmp_path / "out")
    run = LocalEngine(prepared, folder).submit()
    for status in run.follow():
        if status.completed >= 1:
            break
    assert run.running
    assert run.status().total == 3
    run.suspend()
    assert left(folder.out) == []
    with pytest.raises(InterruptedRunError, match="run the same command again"):
        run.wait()
    run = LocalEngine(prepared, folder).submit()
    assert run.wait(PATIENCE).state is RunState.COMPLETE
    check_results(folder.out, 3)
    assert run.report().rounds == 3
    assert any("fedjob" in line for line in run.logs("server"))
