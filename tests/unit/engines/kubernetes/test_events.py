"""Events of a job and of its pods."""

from fedjob.engines.kubernetes.events import conditions_of, events_of
from fedjob.engines.kubernetes.resource import parse

EVENTS = "/api/v1/namespaces/team/events"


def event(reason, moment, *, kind="FederatedJob", name="digits", uid="u", **more):
    involved = {"kind": kind, "name": name, "uid": uid}
    return {"involvedObject": involved, "reason": reason, "message": f"{reason}\n done",
            "type": "Normal", "lastTimestamp": moment, **more}  # fmt: skip


def job(**status):
    return parse({"metadata": {"name": "digits", "namespace": "team", "uid": "u"},
                  "status": status})  # fmt: skip


def served(items):
    def answer(query):
        kind = query["fieldSelector"].split(",")[0].removeprefix("involvedObject.kind=")
        return {"items": [item for item in items if item["involvedObject"]["kind"] == kind]}

    return answer


def test_events_of_job_and_pods_in_order(fake, jobs):
    fake.routes[EVENTS] = served([
        event("B", "2026-01-01T00:00:02Z", kind="Pod", name="digits-worker-0-r1", type="Warning"),
        event("A", "2026-01-01T00:00:01Z", count=3),
        event("C", None, eventTime="2026-01-01T00:00:03.5Z", series={"count": 7}),
        event("Other", "2026-01-01T00:00:01Z", kind="Pod", name="digits-2-server"),
        event("Earlier", "2026-01-01T00:00:01Z", uid="old"),
    ])  # fmt: skip
    found = events_of(jobs.api, job())
    assert [(e.reason, e.about, e.count, e.type) for e in found] == [
        ("A", "", 3, "Normal"),
        ("B", "digits-worker-0-r1", 1, "Warning"),
        ("C", "", 7, "Normal"),
    ]
    assert found[0].message == "A done"


def test_only_conditions_that_hold_are_shown():
    def condition(kind, value, moment):
        return {"type": kind, "status": value, "reason": "R", "message": "", "lastTransitionTime":
                moment}  # fmt: skip

    found = conditions_of(job(conditions=[
        condition("Failed", "True", "2026-01-01T00:00:02Z"),
        condition("Accepted", "True", "2026-01-01T00:00:01Z"),
        condition("Complete", "False", "2026-01-01T00:00:01Z"),
    ]))  # fmt: skip
    assert [(e.message, e.type) for e in found] == [("Accepted", "Normal"), ("Failed", "Warning")]
