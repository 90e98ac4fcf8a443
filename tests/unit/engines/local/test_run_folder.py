"""Where the files of a run are, and which folders are refused."""

import os
from pathlib import Path

import pytest

from fedjob.engines.local.run_folder import RunFolder
from fedjob.errors import InvalidInputError


def test_folder_is_absolute_and_nothing_is_created(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = RunFolder.at(Path("out"))
    assert folder.out == tmp_path / "out"
    assert list(tmp_path.iterdir()) == []


def test_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert RunFolder.at(Path("~/out")).out == tmp_path / "out"


@pytest.mark.parametrize("name", ["my out", "it's", '"q"', "$HOME", "ünï", "{x}", "a,b", "#;&~%"])
def test_odd_names_are_taken_as_they_are(tmp_path, name):
    assert RunFolder.at(tmp_path / name).out == tmp_path / name


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("a:b", "PYTHONPATH"),
        ("a\\b", "backslash"),
        ("a\nb", "line break"),
        (os.fsdecode(b"caf\xe9"), "not UTF-8"),
    ],
)
def test_names_that_a_run_cannot_work_with_are_refused_at_once(tmp_path, name, problem):
    with pytest.raises(InvalidInputError, match=problem) as caught:
        RunFolder.at(tmp_path / name)
    assert "--out" in str(caught.value)
    str(caught.value).encode()


def test_only_results_are_outside_of_the_state_folder():
    folder = RunFolder(Path("/out"))
    results = {folder.result, folder.model, folder.model_pt, folder.report}
    assert {path.parent for path in results} == {Path("/out")}
    others = [folder.lock, folder.record, folder.store, folder.kits, folder.log("server")]
    others += [folder.home("worker-0"), folder.config("server"), folder.url_file("worker-0")]
    assert all(path.is_relative_to(folder.state) for path in others)
    assert len({*others}) == len(others)
