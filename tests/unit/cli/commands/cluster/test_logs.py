"""`fedjob logs`: which log, and what does not go together."""

import pytest

PODS = "/api/v1/namespaces/team/pods"


@pytest.fixture
def pods(fake, status):
    fake.put("digits", status=status["running"]())

    def listed(query):
        site = "server" if "component=server" in query["labelSelector"] else "worker-1"
        state = {"containerStatuses": [{"state": {"running": {}}}], "phase": "Running"}
        return {"items": [{"metadata": {"name": f"digits-{site}"}, "status": state}]}

    fake.routes[PODS] = listed
    fake.routes[f"{PODS}/digits-server/log"] = b"of the server\n"
    fake.routes[f"{PODS}/digits-worker-1/log"] = b"of worker 1\n"


def test_server_is_the_default(fedjob, pods):
    assert fedjob("logs", "digits").out == "of the server\n"
    assert fedjob("logs", "digits", "--server").out == "of the server\n"


def test_worker_is_chosen_by_its_number(fedjob, pods):
    assert fedjob("logs", "digits", "--worker", "1").out == "of worker 1\n"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--server", "--worker", "1"], "are two logs"),
        (["--follow", "--previous"], "do not go together"),
        (["--round", "1", "-f"], "do not go together"),
    ],
)
def test_contradictions_are_refused(fedjob, pods, arguments, text):
    called = fedjob("logs", "digits", *arguments)
    assert called.code == 2
    assert text in called.err


def test_log_of_the_store_is_printed_when_the_pod_is_gone(fedjob, pods, fake, store):
    fake.routes[PODS] = {"items": []}
    store.objects["files_out/logs/worker-0/1.log"] = b"kept\n"
    assert fedjob("logs", "digits", "--worker", "0").out == "kept\n"
