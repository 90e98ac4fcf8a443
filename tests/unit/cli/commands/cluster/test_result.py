"""`fedjob result`: the files of a run, or one round's model."""

import hashlib
import json

import pytest

from fedjob.protocol.commit import Commit, RoundTimes

MODEL = b"weights"
RESULT = {"uri": "s3://bucket/m", "sha256": hashlib.sha256(MODEL).hexdigest(), "size": len(MODEL)}


@pytest.fixture
def ended(fake, store, status):
    fake.put("digits", status=status["complete"](result=RESULT))
    store.objects["model_out/model.safetensors"] = MODEL
    store.objects["model_out/GLOBAL_MODEL.pt"] = b"pt"
    store.objects["model_out/report.html"] = b"<html>"
    return store


def test_files_are_those_of_a_local_run(fedjob, ended, tmp_path):
    called = fedjob("result", "digits", "--out", tmp_path / "out")
    names = ["model.safetensors", "GLOBAL_MODEL.pt", "report.html", "result.json"]
    assert called.out.splitlines() == [str(tmp_path / "out" / name) for name in names]
    assert json.loads((tmp_path / "out/result.json").read_text())["state"] == "Complete"
    assert called.code == 0


def test_default_folder_and_json(fedjob, ended, tmp_path):
    found = json.loads(fedjob("result", "digits", "--json").out)
    assert found["out"] == str(tmp_path / "fedjob-out/digits")
    assert found["model"]["sha256"] == RESULT["sha256"]


def test_failed_run_exits_with_1_and_has_its_result(fedjob, fake, store, status, tmp_path):
    fake.put("digits", status=status["failed"]())
    called = fedjob("result", "digits", "--out", tmp_path / "out")
    assert called.code == 1
    assert "failed: OutOfMemory: reduce batch_size" in called.err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["result.json"]


def test_run_that_has_not_ended_says_what_can_be_had(fedjob, fake, store, status):
    fake.put("digits", status=status["running"]())
    called = fedjob("result", "digits")
    assert called.code == 3
    assert "has not ended (round 2/5); --wait waits" in called.err


def test_wait_stays_until_the_end(fedjob, ended, tmp_path):
    assert fedjob("result", "digits", "--wait", "--out", tmp_path / "out").code == 0


def test_folder_of_a_local_run_is_not_touched(fedjob, ended, tmp_path):
    (tmp_path / "out/.fedjob").mkdir(parents=True)
    called = fedjob("result", "digits", "--out", tmp_path / "out")
    assert called.code == 2
    assert "is the folder of a run on this machine" in called.err


@pytest.fixture
def rounds(fake, store, status):
    fake.put("digits", status=status["running"]())
    for number in (1, 2):
        data = f"round {number}".encode()
        commit = Commit(
            round=number, attempt=1, sha256=hashlib.sha256(data).hexdigest(), size=len(data),
            model_file=f"model-{number}.safetensors", participants=[], metrics={},
            times=RoundTimes(total=1.0), started="x", ended="x",
        )  # fmt: skip
        store.objects[f"rounds/{number}/commit.json"] = commit.model_dump_json().encode()
        store.objects[f"rounds/{number}/{commit.model_file}"] = data


def test_model_of_one_round_also_while_it_runs(fedjob, rounds, tmp_path):
    called = fedjob("result", "digits", "--round", "1", "--out", tmp_path)
    assert called.out == f"{tmp_path}/round-1.safetensors\n"
    assert (tmp_path / "round-1.safetensors").read_bytes() == b"round 1"


def test_best_round_is_chosen_by_the_metric(fedjob, rounds, tmp_path):
    found = json.loads(fedjob("result", "digits", "--best", "--out", tmp_path, "--json").out)
    assert found == {"round": 2, "model": f"{tmp_path}/round-2.safetensors"}


def test_round_that_is_not_committed_is_named(fedjob, rounds):
    called = fedjob("result", "digits", "--round", "9")
    assert called.code == 2
    assert "give a round from 0 to 2" in called.err


def test_two_choices_are_refused(fedjob, rounds):
    assert fedjob("result", "digits", "--round", "1", "--best").code == 2
