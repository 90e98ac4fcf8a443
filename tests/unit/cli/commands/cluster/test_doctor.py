"""`fedjob doctor`: exit code and fixes."""

import json


def test_what_is_missing_has_a_fix_and_exits_with_3(fedjob, fake):
    fake.routes["/version"] = {"gitVersion": "v1.36.3"}
    called = fedjob("doctor")
    assert called.code == 3
    assert "✓  API server" in called.out
    assert "✗  FederatedJobs" in called.out
    assert "fix: install fedjob" in called.out
    checks = json.loads(fedjob("doctor", "--json").out)["checks"]
    assert [check["outcome"] for check in checks] == ["ok", "missing"]


def test_no_kubeconfig(fedjob, tmp_path):
    assert fedjob("doctor", "--kubeconfig", tmp_path / "none").code == 2
    shown = fedjob("doctor", "--kubeconfig", tmp_path / "none", "--json")
    assert json.loads(shown.out)["exitCode"] == 2
