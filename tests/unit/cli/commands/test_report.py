"""`fedjob report`: the page from the rounds that a run has kept in its folder."""

import json

import pytest

from fedjob.engines.local.results.report_files import note_commits, note_facts
from fedjob.engines.local.run_folder import RunFolder
from fedjob.errors import InvalidInputError
from fedjob.report import JobFacts
from support.run_samples import commit


@pytest.fixture
def run(tmp_path):
    folder = RunFolder.at(tmp_path / "out")
    folder.state.mkdir(parents=True)
    shards = {"worker-0": "a.zip", "worker-1": "b.zip"}
    note_facts(folder, JobFacts(name="digits", state="Running", total_rounds=3, shards=shards))
    note_commits(folder, [commit(0), commit(1, loss=0.5), commit(2, loss=0.25)])
    return folder


def test_page_is_written_and_its_path_printed(run, fedjob):
    result = fedjob("report", run.out)
    assert (result.exit_code, result.stdout) == (0, f"{run.report}\n")
    page = run.report.read_text()
    assert "digits" in page
    assert "Stopped" in page, "the run has no result and nobody holds its folder"


def test_json_counts_the_rounds_without_the_initial_model(run, fedjob):
    answer = json.loads(fedjob("report", run.out, "--json").stdout)
    assert answer == {"report": str(run.report), "rounds": 2}


def test_folder_without_a_run_is_refused(tmp_path, fedjob):
    result = fedjob("report", tmp_path)
    assert isinstance(result.exception, InvalidInputError)
    assert "has no run" in str(result.exception)
    assert list(tmp_path.iterdir()) == []
