"""`fedjob get`: one job in detail."""

import json


def test_everything_about_a_job(fedjob, fake, status):
    fake.put("digits", status=status["running"](message="round 3 of 5"))
    fake.routes["/api/v1/namespaces/team/events"] = {"items": []}
    called = fedjob("get", "digits")
    for text in ("team/digits  Training", "round 2/5", "worker-1  Answered", "val_accuracy"):
        assert text in called.out
    assert called.out.splitlines()[-1].split() == ["2", "2", "745", "0.9", "1.25"]


def test_json_is_the_status(fedjob, fake, status):
    fake.put("digits", status=status["running"]())
    assert json.loads(fedjob("get", "digits", "--json").out)["state"] == "Training"


def test_missing_job_exits_with_2(fedjob):
    called = fedjob("get", "digits")
    assert called.code == 2
    assert "no such job in namespace team" in called.err
    assert json.loads(fedjob("get", "digits", "--json").out)["faults"][0]["field"] == "digits"
