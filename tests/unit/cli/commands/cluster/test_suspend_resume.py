"""`fedjob resume`."""

import json


def test_run_is_resumed(fedjob, fake):
    fake.put("digits", spec={"runPolicy": {"suspend": True}})
    called = fedjob("resume", "digits")
    assert called.out == "team/digits resumed; `fedjob watch digits` shows it\n"
    assert fake.jobs["team", "digits"]["spec"]["runPolicy"] == {"suspend": False}


def test_json_and_errors(fedjob, fake):
    assert json.loads(fedjob("resume", "digits", "--json").out)["exitCode"] == 2
    fake.put("digits")
    found = json.loads(fedjob("resume", "digits", "--json").out)
    assert found == {"name": "digits", "namespace": "team", "suspended": False}
