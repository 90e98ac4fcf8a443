"""A user's script type-checks against the public names, strictly, and mistakes in it do not."""

from pathlib import Path

import pytest
from mypy import api

from support.repository import ROOT

SCRIPT = ROOT / "tests" / "typed" / "sdk_script.py"


def errors_of(path: Path) -> list[str]:
    # The cache is that of `make lint`, which checks the same modules.
    output, faults, _ = api.run(["--config-file", str(ROOT / "pyproject.toml"), str(path)])
    assert faults == ""
    return [line for line in output.splitlines() if ": error:" in line]


def test_script_has_the_types_that_the_docs_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert errors_of(SCRIPT) == []


def test_misspelt_arguments_are_found_by_the_checker(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(ROOT)
    script = tmp_path / "misspelt.py"
    script.write_text(
        "import fedjob\n"
        "job = fedjob.from_model('model_def.py', rounds=3)\n"
        "fedjob.LocalClient().submit(job, shard='shards/')\n"
        "fedjob.TrainingConfig(epochs=2)\n"
    )
    found = errors_of(script)
    assert len(found) == 3
    assert all("nexpected keyword argument" in line for line in found)
