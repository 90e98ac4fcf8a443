"""The report of a folder is made from the files of the run."""

import pytest

from fedjob.engines.local.results.report_files import note_commits, note_facts, write_report
from fedjob.engines.local.run_folder import RunFolder
from fedjob.engines.result import RunResult, RunState
from fedjob.errors import InvalidInputError
from fedjob.protocol.commit import Commit
from fedjob.report import JobFacts


def commit(number):
    times = {"started": "2026-01-01T00:00:00Z", "ended": "2026-01-01T00:00:01Z"}
    metrics = {"loss": 1.0 / (number + 1)}
    return Commit(round=number, attempt=1, sha256="0" * 64, size=1, metrics=metrics, **times)


@pytest.fixture
def folder(tmp_path):
    folder = RunFolder.at(tmp_path)
    folder.state.mkdir()
    note_facts(folder, JobFacts(name="digits", state="Running", total_rounds=5))
    note_commits(folder, [commit(0), commit(1)])
    return folder


def test_rounds_so_far_of_a_run_that_stopped(folder):
    note_commits(folder, [commit(1), commit(2)])
    assert write_report(folder) == 2
    page = folder.report.read_text()
    assert "digits" in page
    assert "Stopped" in page
    assert sorted(path.name for path in folder.commits.iterdir()) == ["0.json", "1.json", "2.json"]


def test_run_that_is_under_way_and_one_that_ended(folder):
    write_report(folder, running=True)
    assert "Running" in folder.report.read_text()
    result = RunResult(
        name="digits",
        namespace="default",
        state=RunState.FAILED,
        reason="OutOfMemory",
        message="reduce batch_size, now 64",
    )
    result.write(folder.result)
    write_report(folder)
    page = folder.report.read_text()
    assert "reduce batch_size, now 64" in page
    assert "A worker ran out of memory." in page, "what the reason means"


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(InvalidInputError, match="has no run"):
        write_report(RunFolder.at(tmp_path))
    folder = RunFolder.at(tmp_path)
    folder.state.mkdir()
    folder.facts.write_text('{"nonsense": 1}')
    with pytest.raises(InvalidInputError, match="--out"):
        write_report(folder)
