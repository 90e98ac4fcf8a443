"""`fedjob list`: what it prints without a terminal, and to scripts."""

import json


def test_columns_are_those_of_kubectl(fedjob, fake, status):
    fake.put("digits", status=status["running"]())
    fake.put("other", "else")
    called = fedjob("list")
    head, line = called.out.splitlines()
    assert head.split() == ["NAME", "STATE", "ROUND", "CLIENTS", "METRIC", "ETA", "AGE"]
    assert line.split()[:6] == ["digits", "Training", "2/5", "2/2", "val_accuracy", "0.9"]
    assert called.code == 0


def test_all_namespaces_are_shown_with_their_names(fedjob, fake):
    fake.put("digits")
    fake.put("other", "else")
    lines = fedjob("list", "-A").out.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["NAMESPACE", "NAME"], ["else", "other"], ["team", "digits"],
    ]  # fmt: skip


def test_empty_namespace_is_named(fedjob):
    called = fedjob("list", "-n", "empty")
    assert (called.code, called.out) == (0, "")
    assert "no FederatedJobs in namespace empty" in called.err
    assert "in any namespace" in fedjob("list", "-A").err


def test_json_holds_every_status(fedjob, fake, status):
    fake.put("digits", status=status["running"]())
    (found,) = json.loads(fedjob("list", "--json").out)["jobs"]
    assert (found["name"], found["completed"], found["created"]) == (
        "digits", 2, "2026-01-02T03:04:05Z",
    )  # fmt: skip


def test_refusal_is_an_error_for_people_and_scripts(fedjob, fake):
    fake.plan(403, "no", times=2)
    called = fedjob("list")
    assert called.code == 3
    assert "ask for a Role with verb list" in called.err
    assert json.loads(fedjob("list", "--json").out)["exitCode"] == 3
