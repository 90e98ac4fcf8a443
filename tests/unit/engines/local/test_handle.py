"""A run that another process works on, seen through its folder."""

import hashlib

import pytest

from fedjob.engines.local.handle import LiveRun, LocalHandle
from fedjob.engines.local.lock import RunLock
from fedjob.engines.local.log_files import start_line
from fedjob.engines.local.results.report_files import note_commits, note_facts
from fedjob.engines.local.run_folder import RunFolder
from fedjob.engines.result import ModelFile, RunResult, RunState
from fedjob.errors import InvalidInputError, UnavailableError
from fedjob.protocol.commit import Commit
from fedjob.protocol.server_status import RunEvent, ServerStatus
from fedjob.report import JobFacts


def commit(number, start, end):
    times = {"started": f"2026-01-02T{start}Z", "ended": f"2026-01-02T{end}Z"}
    return Commit(round=number, attempt=1, sha256="0" * 64, size=1, **times)


@pytest.fixture
def folder(tmp_path):
    return RunFolder.at(tmp_path)


def test_folder_without_a_run(folder):
    handle = LocalHandle(folder)
    assert not handle.running
    assert handle.status() is None
    assert list(handle.follow()) == []
    assert handle.result() is None
    with pytest.raises(UnavailableError, match="run it again to resume"):
        handle.wait()
    with pytest.raises(InvalidInputError, match="has no run"):
        handle.report()
    assert list(folder.out.iterdir()) == [], "looking at a run changes nothing"


def test_run_of_another_process_is_running_and_can_be_waited_for(folder):
    handle = LocalHandle(folder)
    with RunLock(folder.lock):
        assert handle.running
        with pytest.raises(UnavailableError, match="still running after 0 s"):
            handle.wait(0)


def test_result_of_a_run_that_ended(folder):
    result = RunResult(name="x", namespace="default", state=RunState.COMPLETE)
    result.write(folder.result)
    assert LocalHandle(folder).wait() == result


def test_live_file_is_there_only_while_a_server_answers(folder):
    folder.state.mkdir()
    folder.live.write_text("{")
    assert LocalHandle(folder).status() is None
    folder.live.write_text(LiveRun(pid=1, http_port=1).model_dump_json(by_alias=True))
    assert LocalHandle(folder).status() is None, "nothing listens there"


def test_logs_of_a_process_by_its_name(folder):
    handle = LocalHandle(folder)
    with pytest.raises(InvalidInputError, match="run the job first"):
        list(handle.logs("server"))
    folder.logs.mkdir(parents=True)
    folder.log("server").write_bytes(b"one\ntw\xffo\n")
    assert list(handle.logs("server")) == ["one", "tw\ufffdo"]
    with pytest.raises(InvalidInputError, match="one of: server"):
        list(handle.logs("../../etc/passwd"))


def test_lines_of_one_round_and_of_the_start_before(folder):
    note_commits(folder, [commit(0, "11:59:00", "12:00:00"), commit(1, "12:00:00", "12:00:05")])
    folder.logs.mkdir(parents=True)
    lines = ["2026-01-02T12:00:02Z one", "epoch", "2026-01-02T12:30:00Z two"]
    text = start_line("worker-0") + "\n".join(lines[:2]) + "\n" + start_line("worker-0") + lines[2]
    folder.log("worker-0").write_text(text)
    handle = LocalHandle(folder)
    assert list(handle.logs("worker-0")) == lines[2:]
    assert list(handle.logs("worker-0", previous=True)) == lines[:2]
    assert list(handle.logs("worker-0", round=1)) == lines[:2]
    assert list(handle.logs("worker-0", follow=True)) == lines[2:], "the run has ended"
    for absent in (0, 2):
        with pytest.raises(InvalidInputError, match=f"round {absent}: has not been run; give one"):
            list(handle.logs("worker-0", round=absent))
    with RunLock(folder.lock):
        assert list(handle.logs("worker-0", round=2)) == lines[2:], "the round under way"


def test_events_of_the_last_server(folder):
    assert LocalHandle(folder).events() == []
    folder.server_status.parent.mkdir(parents=True)
    event = RunEvent(time=1.0, reason="RoundCompleted", message="round 1")
    folder.server_status.write_text(ServerStatus(events=[event]).model_dump_json(by_alias=True))
    assert [found.reason for found in LocalHandle(folder).events()] == ["RoundCompleted"]


def test_report_is_written_where_it_is_asked_for(folder, tmp_path):
    folder.state.mkdir()
    note_facts(folder, JobFacts(name="digits", state="Running", total_rounds=5))
    note_commits(folder, [commit(1, "12:00:00", "12:00:05")])
    report = LocalHandle(folder).report(tmp_path / "here.html")
    assert report.rounds == 1
    assert report.path.read_bytes() == folder.report.read_bytes()


def test_result_knows_its_files(folder, tmp_path):
    folder.out.mkdir(exist_ok=True)
    for path in (folder.model, folder.model_pt, folder.report):
        path.write_bytes(b"w")
    model = ModelFile(sha256=hashlib.sha256(b"w").hexdigest(), size=1)
    RunResult(name="x", namespace="d", state=RunState.COMPLETE, model=model).write(folder.result)
    target = LocalHandle(folder).result().download(tmp_path / "copy")
    names = ["GLOBAL_MODEL.pt", "model.safetensors", "report.html", "result.json"]
    assert sorted(path.name for path in target.iterdir()) == names


def test_nothing_to_resume(folder):
    with pytest.raises(InvalidInputError, match="no run that can be resumed"):
        LocalHandle(folder).resume()
