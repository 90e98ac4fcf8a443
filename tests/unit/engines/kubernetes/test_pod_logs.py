"""Logs of pods through restarts and replacements."""

import pytest

from fedjob.engines.kubernetes.errors import ForbiddenError
from fedjob.engines.kubernetes.pod_logs import PodLogs, parse_pod
from support.cluster.fake_api_server import Planned

PODS = "/api/v1/namespaces/team/pods"


def pod(name, start=0, *, restarts=0, phase="Running", state="running"):
    return {
        "metadata": {"name": name, "annotations": {"fedjob.dev/start": str(start)}},
        "status": {
            "phase": phase,
            "containerStatuses": [{"restartCount": restarts, "state": {state: {}}}],
        },
    }


@pytest.fixture
def logs(jobs):
    return PodLogs(jobs.api, "team", "digits", "worker-1", sleep=lambda _: None)


def serve(fake, *pods, **texts):
    fake.routes[PODS] = {"items": list(pods)}
    for name, text in texts.items():
        fake.routes[f"{PODS}/{name.replace('_', '-')}/log"] = text


def test_pods_are_selected_by_job_and_site_in_order(fake, logs, jobs):
    serve(fake, pod("b", 1), pod("a", 0))
    assert [each.name for each in logs.pods()] == ["a", "b"]
    assert fake.asked[-1].query["labelSelector"] == (
        "fedjob.dev/job=digits,fedjob.dev/worker=worker-1"
    )
    PodLogs(jobs.api, "team", "digits", "server").pods()
    assert fake.asked[-1].query["labelSelector"] == (
        "fedjob.dev/job=digits,app.kubernetes.io/component=server"
    )


def test_last_start_and_the_one_before(fake, logs):
    serve(fake, pod("a", 0), pod("b", 1), a=b"old\n", b=b"new\r\nend")
    assert list(logs.lines()) == ["new", "end"]
    assert list(logs.lines(previous=True)) == ["old"]


def test_previous_start_is_of_the_same_pod_when_its_container_restarted(fake, logs):
    serve(fake, pod("a", 0), pod("b", 1, restarts=1), b=lambda query: query["previous"].encode())
    assert list(logs.lines(previous=True)) == ["true"]


def test_no_pod_or_none_that_has_begun_has_no_log(fake, logs):
    serve(fake)
    assert logs.lines() is None
    serve(fake, pod("a", state="waiting", phase="Pending"))
    assert logs.lines() is None
    serve(fake, pod("a"), a=b"x")
    assert logs.lines(previous=True) is None


def test_pod_is_found_to_have_ended():
    assert parse_pod(pod("a", phase="Failed", state="terminated")).ended
    assert not parse_pod(pod("a")).ended


def test_follow_continues_after_cuts_without_repeating(fake, logs):
    first = b"2026-01-01T00:00:01.5Z one\n2026-01-01T00:00:01.50001Z two\n"
    answers = [
        first,
        Planned(500, "restarting"),
        first + b"2026-01-01T00:00:02Z three\n",
    ]
    asked = []

    def log(query):
        asked.append(query.get("sinceTime"))
        return answers.pop(0) if answers else b""

    serve(fake, pod("a", phase="Running"), a=log)
    ends = iter([False, False, True])

    def ended():
        if next(ends):
            serve(fake, pod("a", phase="Succeeded"))
            return True
        return False

    assert list(logs.follow(ended)) == ["one", "two", "three"]
    assert asked == [None, "2026-01-01T00:00:01Z", "2026-01-01T00:00:01Z"]


def test_follow_goes_over_to_the_pod_that_replaces_the_first(fake, logs):
    serve(fake, pod("a"), a=b"2026-01-01T00:00:01Z one\n", b=b"2026-01-01T00:00:00Z two\n")
    calls = []

    def ended():
        calls.append(1)
        if len(calls) == 2:
            serve(fake, pod("a", phase="Failed"), pod("b", 1, phase="Succeeded"))
        return len(calls) >= 2

    assert list(logs.follow(ended)) == ["one", "two"]


def test_follow_ends_when_the_run_ended_without_a_pod(fake, logs):
    serve(fake)
    assert list(logs.follow(lambda: True)) == []


def test_pods_that_may_not_be_listed(fake, logs):
    fake.routes[PODS] = Planned(403, "no")
    with pytest.raises(ForbiddenError, match="list pods in namespace team"):
        logs.lines()
