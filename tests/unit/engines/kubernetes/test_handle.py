"""A run in a cluster, by the verbs of every engine."""

import json
import threading

import pytest

from fedjob.engines.base import RunHandle
from fedjob.engines.kubernetes.errors import JobNotFoundError
from fedjob.engines.kubernetes.handle import KubernetesHandle
from fedjob.engines.result import RunState
from fedjob.errors import InvalidInputError, UnavailableError
from fedjob.protocol.commit import Commit, RoundTimes
from support.cluster.fake_api_server import Planned
from support.cluster.fake_store import fake_store
from support.cluster.fake_transfers import fake_transfers

PODS = "/api/v1/namespaces/team/pods"


@pytest.fixture
def run(jobs, tmp_path):
    return KubernetesHandle(jobs, "digits", keys=tmp_path / "keys")


@pytest.fixture
def store(fake):
    with fake_store() as found, fake_transfers(fake, found):
        yield found


def status(state, generation=1, **more):
    return {"state": state, "observedGeneration": generation, **more}


def complete(fake, generation=1, **more):
    fake.put(
        "digits",
        status=status(
            "Complete", generation, rounds={"completed": 5, "total": 5},
            result={"uri": "s3://b/model.safetensors", "sha256": "0" * 64, "size": 3}, **more,
        ),
    )  # fmt: skip


def until_watching(fake):
    while not fake.watching:
        threading.Event().wait(0.001)


def log_commit(number, begun, ended):
    commit = Commit(
        round=number, attempt=1, sha256="0" * 64, size=1, participants=[], metrics={},
        times=RoundTimes(total=1.0), started=begun, ended=ended,
    )  # fmt: skip
    return commit.model_dump_json(by_alias=True).encode()


def test_it_is_a_run_handle(run):
    handle: RunHandle = run
    assert (handle.name, handle.namespace) == ("digits", "team")


def test_no_job_has_no_status_and_is_named(run):
    assert run.status() is None
    assert not run.running
    for verb in (run.wait, run.result, run.suspend, run.resume, run.cancel, run.events):
        with pytest.raises(JobNotFoundError, match="digits"):
            verb()
    with pytest.raises(JobNotFoundError):
        next(run.follow())


def test_status_before_and_after_the_operator_has_seen_the_job(fake, run):
    fake.put("digits")
    found = run.status()
    assert (found.state, found.message, found.total) == ("Pending", "waiting for the operator", 5)
    fake.put("digits", status=status("Training", rounds={"completed": 2, "total": 5}))
    assert (run.status().state, run.status().rounds_text) == ("Training", "2/5")
    assert run.running


def test_follow_gives_each_change_once_and_ends_with_the_run(fake, run):
    fake.put("digits", status=status("Training", message="a"))
    seen = []
    for found in run.follow():
        seen.append((found.state, found.message))
        if len(seen) == 1:
            fake.put("digits", metadata={"labels": {"x": "y"}})
            fake.put("digits", status=status("Training", message="b"))
        elif len(seen) == 2:
            fake.cut()
            complete(fake)
    assert seen == [("Training", "a"), ("Training", "b"), ("Complete", "")]


def test_end_of_an_earlier_spec_does_not_end_a_run(fake, run):
    complete(fake)
    fake.put("digits", spec={"federation": {"numRounds": 6}})
    found = run.status()
    assert (found.state, found.message) == (
        "Pending", "the operator has not seen the job's latest change yet",
    )  # fmt: skip
    assert run.running
    assert run.result() is None
    threading.Timer(0.05, complete, (fake, 2)).start()
    assert run.wait(5).state is RunState.COMPLETE


def test_wait_returns_the_result_also_of_a_failed_run(fake, run):
    fake.put(
        "digits",
        status=status(
            "Failed", reason="OutOfMemory", message="reduce batch_size",
            startTime="2026-01-01T00:00:00Z", completionTime="2026-01-01T00:01:00Z",
            clients={"expected": 1, "connected": 0, "list": [{"name": "worker-0", "restarts": 2}]},
            history=[{"round": 1, "clients": 1, "samples": 9, "seconds": 2.5}],
        ),
    )  # fmt: skip
    result = run.wait()
    assert (result.state, result.reason, result.seconds) == (RunState.FAILED, "OutOfMemory", 60)
    assert result.restarts == {"worker-0": 2}
    assert [line.samples for line in result.rounds] == [9]
    assert not run.running


def test_wait_says_why_there_is_no_result(fake, run):
    fake.put("digits", status=status("Training"))
    with pytest.raises(UnavailableError, match=r"still running after 0\.02 s"):
        run.wait(0.02)
    run.suspend()
    fake.put("digits", status=status("Suspended", 2))
    with pytest.raises(UnavailableError, match="fedjob resume digits"):
        run.wait()
    run.resume()
    fake.cut()
    threading.Thread(target=lambda: (until_watching(fake), run.cancel())).start()
    with pytest.raises(UnavailableError, match="was deleted"):
        run.wait()


def test_suspend_resume_and_cancel_change_the_resource(fake, run):
    fake.put("digits", status=status("Training"))
    run.suspend()
    assert fake.jobs["team", "digits"]["spec"]["runPolicy"] == {"suspend": True}
    assert not run.running
    run.resume()
    assert fake.jobs["team", "digits"]["spec"]["runPolicy"] == {"suspend": False}
    asked = len(fake.asked)
    run.resume()
    assert [each.method for each in fake.asked[asked:]] == ["GET"]
    run.cancel()
    assert fake.jobs == {}


def test_result_downloads_what_a_local_run_writes(fake, run, store, tmp_path):
    import hashlib

    for name in ("model.safetensors", "GLOBAL_MODEL.pt", "report.html"):
        store.objects[f"model_out/{name}"] = name.encode()
    digest = hashlib.sha256(b"model.safetensors").hexdigest()
    complete(fake)
    fake.put("digits", status={
        **fake.jobs["team", "digits"]["status"],
        "result": {"uri": "s3://b/m", "sha256": digest, "size": 17},
    })  # fmt: skip
    folder = run.result().download(tmp_path / "out")
    assert sorted(path.name for path in folder.iterdir()) == [
        "GLOBAL_MODEL.pt", "model.safetensors", "report.html", "result.json",
    ]  # fmt: skip
    assert (folder / "model.safetensors").read_bytes() == b"model.safetensors"


def lines(first, last):
    return [
        {"round": n, "clients": 1, "samples": n, "seconds": 1.0, "metrics": {}}
        for n in range(first, last + 1)
    ]


def test_rounds_that_the_status_has_no_room_for_come_from_the_store(fake, run, store):
    fake.put("digits", status=status(
        "Failed", rounds={"completed": 25, "total": 30}, history=lines(6, 25)
    ))  # fmt: skip
    store.objects["model_out/history.json"] = json.dumps({"rounds": lines(1, 25)}).encode()
    assert [line.round for line in run.result().rounds] == list(range(1, 26))


def test_history_of_an_earlier_end_is_not_taken(fake, run, store):
    """numRounds was raised, and the run failed later."""
    fake.put("digits", status=status(
        "Failed", rounds={"completed": 30, "total": 40}, history=lines(11, 30)
    ))  # fmt: skip
    store.objects["model_out/history.json"] = json.dumps({"rounds": lines(1, 25)}).encode()
    assert [line.round for line in run.result().rounds] == list(range(11, 31))


def test_short_run_asks_for_no_history(fake, run, store):
    complete(fake, history=lines(1, 5))
    asked = len(fake.asked)
    assert len(run.result().rounds) == 5
    assert {each.method for each in fake.asked[asked:]} == {"GET"}


def test_viewer_without_the_right_to_fetch_learns_that_rounds_are_missing(fake, jobs, tmp_path):
    notes = []
    run = KubernetesHandle(jobs, "digits", interrupted=notes.append, keys=tmp_path / "keys")
    fake.put("digits", status=status(
        "Failed", rounds={"completed": 25, "total": 30}, history=lines(6, 25)
    ))  # fmt: skip
    fake.plan(403, "no", method="PATCH")
    assert len(run.result().rounds) == 20
    assert notes[0].startswith("only the last 20 rounds are known: not allowed")


def test_report_is_fetched_or_reported_missing(fake, run, store, tmp_path):
    complete(fake)
    with pytest.raises(InvalidInputError, match="has no report yet"):
        run.report(tmp_path / "r.html")
    store.objects["model_out/report.html"] = b"<html>"
    report = run.report(tmp_path / "sub/r.html")
    assert (report.path.read_bytes(), report.rounds) == (b"<html>", 5)


def test_logs_come_from_the_pod(fake, run):
    fake.put("digits", status=status("Training"))
    fake.routes[PODS] = {"items": [pod("digits-worker-0")]}
    fake.routes[f"{PODS}/digits-worker-0/log"] = b"one\ntwo\n"
    assert list(run.logs("worker-0")) == ["one", "two"]


@pytest.mark.parametrize("answer", [{"items": []}, Planned(403, "no")], ids=["gone", "forbidden"])
def test_logs_come_from_the_store_without_the_pod(fake, run, store, answer):
    complete(fake)
    fake.routes[PODS] = answer
    store.objects["files_out/logs/worker-0/1.log"] = b"first\n"
    store.objects["files_out/logs/worker-0/2.log"] = b"second\n"
    assert list(run.logs("worker-0")) == ["second"]
    assert list(run.logs("worker-0", previous=True)) == ["first"]


def test_logs_of_one_round(fake, run, store):
    complete(fake)
    fake.routes[PODS] = {"items": []}
    store.objects["rounds/2/commit.json"] = log_commit(
        2, "2026-01-01T00:00:10Z", "2026-01-01T00:00:20Z"
    )
    store.objects["files_out/logs/worker-0/1.log"] = (
        b"2026-01-01T00:00:05Z one\n2026-01-01T00:00:12Z two\n  more\n2026-01-01T00:00:30Z three\n"
    )
    assert list(run.logs("worker-0", round=2)) == ["2026-01-01T00:00:12Z two", "  more"]
    with pytest.raises(InvalidInputError, match="give a round from 1 to 5"):
        list(run.logs("worker-0", round=9))


def test_unknown_site_lists_the_known_ones(fake, run):
    fake.put("digits", status=status("Training", clients={"list": [{"name": "worker-0"}]}))
    with pytest.raises(InvalidInputError, match="one of: server, worker-0"):
        list(run.logs("worker-7"))


def test_events_fall_back_to_conditions(fake, run):
    condition = {
        "type": "Accepted", "status": "True", "reason": "Valid", "message": "fine",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    fake.put("digits", status=status("Training", conditions=[condition]))
    fake.routes["/api/v1/namespaces/team/events"] = Planned(403, "no")
    (event,) = run.events()
    assert (event.reason, event.message) == ("Valid", "Accepted: fine")


def pod(name, start=0, restarts=0, phase="Running"):
    return {
        "metadata": {"name": name, "annotations": {"fedjob.dev/start": str(start)}},
        "status": {
            "phase": phase,
            "containerStatuses": [{"restartCount": restarts, "state": {"running": {}}}],
        },
    }
