"""`fedjob watch`: its end decides the exit code."""

import json

import pytest

from fedjob.cli.commands.cluster import watch
from fedjob.cli.interruption import Interrupted


@pytest.mark.parametrize(
    ("state", "code", "text"),
    [
        ("complete", 0, "digits is complete; `fedjob result digits` fetches its model"),
        ("failed", 1, "failed: OutOfMemory: reduce batch_size; `fedjob logs digits`"),
    ],
)
def test_end_of_a_run(fedjob, fake, status, state, code, text):
    fake.put("digits", status=status[state]())
    called = fedjob("watch", "digits")
    assert called.code == code
    assert text in called.err
    assert "round 2/5: 2 clients, 745 samples, val_accuracy 0.9, 1.25 s" in called.out


def test_suspended_run_exits_with_3(fedjob, fake, status):
    fake.put(
        "digits",
        spec={"runPolicy": {"suspend": True}},
        status=status["running"](state="Suspended"),
    )
    called = fedjob("watch", "digits")
    assert called.code == 3
    assert "`fedjob resume digits` continues it" in called.err


def test_json_is_the_last_status(fedjob, fake, status):
    fake.put("digits", status=status["failed"]())
    called = fedjob("watch", "digits", "--json")
    assert called.code == 1
    assert json.loads(called.out)["reason"] == "OutOfMemory"


def test_ctrl_c_detaches_and_says_how_to_come_back(fedjob, fake, status, monkeypatch):
    fake.put("digits", "mine", status=status["running"]())

    def interrupt(*_):
        raise Interrupted

    monkeypatch.setattr(watch, "follow_run", interrupt)
    called = fedjob("watch", "digits", "-n", "mine")
    assert called.code == 130
    assert "detached; digits is not stopped. `fedjob watch digits`" in called.err
    assert "(with -n mine)" in called.err


def test_missing_job_is_an_error(fedjob):
    assert fedjob("watch", "digits").code == 2
    assert json.loads(fedjob("watch", "digits", "--json").out)["exitCode"] == 2
