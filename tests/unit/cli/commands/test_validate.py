"""`fedjob validate`: faults, hints and the workers of a job."""

import json


def test_hints_and_workers_are_printed(file, fedjob):
    result = fedjob("validate", file)
    assert result.exit_code == 0
    assert "hint: model_def.py imports absent_package" in result.stderr
    assert result.stdout.splitlines() == [
        "worker-0  a.zip",
        "worker-1  b.zip",
        f"{file} is valid",
    ]


def test_hints_are_in_the_json(file, fedjob):
    result = fedjob("validate", file, "--json")
    answer = json.loads(result.stdout)
    assert answer["valid"] is True
    assert [hint.split(",")[0] for hint in answer["hints"]] == [
        "model_def.py imports absent_package"
    ]
    assert answer["workers"]["worker-1"] == {"shard": "b.zip", "samples": None}


def test_faults_are_in_the_json_with_the_exit_code_of_a_wrong_input(file, fedjob):
    file.write_text(file.read_text().replace("digits", "Digits"))
    result = fedjob("validate", file, "--json")
    answer = json.loads(result.stdout)
    assert (answer["valid"], answer["exitCode"]) == (False, 2)
    assert [fault["field"] for fault in answer["faults"]] == ["metadata.name"]
