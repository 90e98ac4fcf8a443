"""`fedjob build`: the job folder on disk, and what is printed of it."""

import json


def test_job_folder_is_written_and_its_files_are_printed(file, fedjob, tmp_path):
    result = fedjob("build", file, "--out", tmp_path / "built")
    assert result.exit_code == 0
    assert "hint: model_def.py imports absent_package" in result.stderr
    printed = result.stdout.splitlines()
    assert printed == sorted(printed)
    assert str(tmp_path / "built/app/custom/model_def.py") in printed
    assert sorted(printed) == sorted(
        str(path) for path in (tmp_path / "built").rglob("*") if path.is_file()
    )
    assert (tmp_path / "built/job.yaml").read_text() == file.read_text()


def test_json_names_the_folder_and_its_files(file, fedjob, tmp_path):
    result = fedjob("build", file, "--out", tmp_path / "built", "--json")
    answer = json.loads(result.stdout)
    assert answer["folder"] == str(tmp_path / "built")
    assert {"meta.json", "job.yaml", "app/custom/model_def.py"} <= set(answer["files"])


def test_folder_of_something_else_is_not_replaced(file, fedjob, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years of work")
    result = fedjob("build", file, "--out", tmp_path / "mine", "--json")
    answer = json.loads(result.stdout)
    assert answer["exitCode"] == 2
    assert "is not a job folder" in answer["error"]
    assert (tmp_path / "mine/thesis.txt").read_text() == "years of work"
