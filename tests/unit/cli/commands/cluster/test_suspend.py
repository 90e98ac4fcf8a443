"""`fedjob suspend`."""

import json


def test_run_is_suspended(fedjob, fake):
    fake.put("digits")
    called = fedjob("suspend", "digits")
    assert called.code == 0
    assert called.out.startswith("team/digits suspended; its pods end, and `fedjob resume digits`")
    assert fake.jobs["team", "digits"]["spec"]["runPolicy"] == {"suspend": True}


def test_json_and_errors(fedjob, fake):
    assert json.loads(fedjob("suspend", "digits", "--json").out)["exitCode"] == 2
    fake.put("digits")
    found = json.loads(fedjob("suspend", "digits", "--json").out)
    assert found == {"name": "digits", "namespace": "team", "suspended": True}
