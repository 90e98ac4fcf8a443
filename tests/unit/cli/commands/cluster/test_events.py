"""`fedjob events`."""

import json

EVENTS = "/api/v1/namespaces/team/events"


def test_events_are_lines_and_json(fedjob, fake):
    uid = fake.put("digits")["metadata"]["uid"]

    def served(query):
        job = {"kind": "FederatedJob", "name": "digits", "uid": uid}
        item = {"involvedObject": job, "reason": "RoundCompleted", "message": "round 1",
                "type": "Normal", "count": 2, "lastTimestamp": "2026-01-01T00:00:00Z"}  # fmt: skip
        return {"items": [item] if "FederatedJob" in query["fieldSelector"] else []}

    fake.routes[EVENTS] = served
    head, line = fedjob("events", "digits").out.splitlines()
    assert head.split() == ["AGE", "TYPE", "REASON", "ABOUT", "MESSAGE"]
    assert line.split()[1:] == ["(x2)", "Normal", "RoundCompleted", "job", "round", "1"]
    (found,) = json.loads(fedjob("events", "digits", "--json").out)["events"]
    assert (found["reason"], found["count"]) == ("RoundCompleted", 2)


def test_no_events_and_no_job(fedjob, fake):
    fake.routes[EVENTS] = {"items": []}
    assert fedjob("events", "digits").code == 2
    assert json.loads(fedjob("events", "digits", "--json").out)["exitCode"] == 2
    fake.put("digits")
    called = fedjob("events", "digits")
    assert (called.code, called.out) == (0, "")
    assert "keeps them for an hour" in called.err
