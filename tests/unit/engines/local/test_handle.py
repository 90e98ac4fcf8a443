"""A run that another process works on, seen through its folder."""

import pytest

from fedjob.engines.local.handle import LiveRun, LocalHandle
from fedjob.engines.local.lock import RunLock
from fedjob.engines.local.results.result import RunResult, RunState
from fedjob.engines.local.run_folder import RunFolder
from fedjob.errors import InvalidInputError, UnavailableError


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
