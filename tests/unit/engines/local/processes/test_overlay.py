"""Missing packages go into a cached folder that only the job's processes see."""

import json
import subprocess
from pathlib import Path

import pytest

from fedjob.engines.local.processes.overlay import (
    InstallError,
    default_cache,
    missing_fault,
    overlay_for,
)
from fedjob.errors import EXIT_INVALID, EXIT_UNAVAILABLE
from fedjob.workspace.requirements.installed import missing_requirements
from fedjob.workspace.requirements.lines import parse_requirements

SHA = "0" * 64
REPORT = {
    "install": [
        {
            "metadata": {"name": "tiny", "version": "1.0"},
            "download_info": {
                "url": "https://host/tiny-1.0.whl",
                "archive_info": {"hashes": {"sha256": SHA}},
            },
        }
    ]
}


class Pip:
    """Plays pip: writes the report, then the package."""

    def __init__(self, report=REPORT, code=0, error=""):
        self.report, self.code, self.error = report, code, error
        self.commands, self.read = [], []

    def __call__(self, command):
        self.commands.append(command)
        self.read.append(Path(command[command.index("-r") + 1]).read_text())
        if "--report" in command:
            Path(command[command.index("--report") + 1]).write_text(json.dumps(self.report))
        else:
            (Path(command[command.index("--target") + 1]) / "tiny.py").write_text("x = 1")
        return subprocess.CompletedProcess(command, self.code, "", self.error)


def lines(text):
    return parse_requirements(text, "requirements.txt")


def test_missing_packages_are_listed_at_once_with_the_way_out():
    error = missing_fault(missing_requirements(lines("absent>=2\nmore"), lambda name: None))
    assert error.exit_code == EXIT_INVALID
    assert "not installed here: absent>=2, more" in str(error)
    assert "--install" in str(error)


def test_what_pip_chose_is_installed_without_its_dependencies_once(tmp_path):
    """So that a package that needs torch, which is installed, brings no other torch along."""
    pip = Pip()
    wanted = lines("tiny>=1")
    folder = overlay_for(wanted, {}, tmp_path, pip)
    assert (folder / "tiny.py").is_file()
    resolve, install = pip.commands
    assert {"--dry-run", "--report"} <= set(resolve)
    assert {"--no-deps", "--target"} <= set(install)
    assert pip.read == ["tiny>=1\n", f"tiny==1.0 --hash=sha256:{SHA}\n"]
    assert overlay_for(wanted, {}, tmp_path, pip) == folder
    assert len(pip.commands) == 2
    assert overlay_for(lines("tiny>=2"), {}, tmp_path, pip) != folder
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_wheel_of_the_model_is_given_to_pip_as_a_file(tmp_path):
    name = "w/tiny-1.0-py3-none-any.whl"
    report = {
        "install": [
            *REPORT["install"],
            {
                "metadata": {"name": "own", "version": "1"},
                "download_info": {"url": "file:///x/own.whl"},
            },
        ]
    }
    pip = Pip(report)
    wanted = lines(f"./{name} --hash=sha256:{SHA}")
    first = overlay_for(wanted, {name: b"wheel"}, tmp_path, pip)
    path, _, pin = pip.read[0].strip().partition(" ")
    assert path.endswith(name)
    assert pin == f"--hash=sha256:{SHA}"
    # pip wants a hash for all lines or for none.
    assert pip.read[1] == "tiny==1.0\nown @ file:///x/own.whl\n"
    assert overlay_for(wanted, {name: b"another"}, tmp_path, pip) != first


def test_nothing_left_to_install_makes_an_empty_folder(tmp_path):
    pip = Pip({"install": []})
    assert list(overlay_for(lines("tiny"), {}, tmp_path, pip).iterdir()) == []
    assert len(pip.commands) == 1


def test_a_run_that_made_the_folder_meanwhile_is_no_problem(tmp_path):
    pip = Pip()
    folder = overlay_for(lines("tiny"), {}, tmp_path / "a", Pip())

    class Slower(Pip):
        def __call__(self, command):
            if "--target" in command:
                (tmp_path / "b" / folder.name).mkdir()
                (tmp_path / "b" / folder.name / "theirs").touch()
            return super().__call__(command)

    found = overlay_for(lines("tiny"), {}, tmp_path / "b", Slower())
    assert [path.name for path in found.iterdir()] == ["theirs"]
    assert not pip.commands


@pytest.mark.parametrize(
    ("error", "text"),
    [
        ("/usr/bin/python: No module named pip", "has no pip"),
        ("x" * 5000 + "ERROR: no such version", "ERROR: no such version"),
    ],
)
def test_a_pip_that_fails_is_quoted(tmp_path, error, text):
    with pytest.raises(InstallError, match=text) as caught:
        overlay_for(lines("tiny"), {}, tmp_path, Pip(code=1, error=error))
    assert caught.value.exit_code == EXIT_UNAVAILABLE
    assert len(str(caught.value)) < 2000
    assert list(tmp_path.iterdir()) == []


def test_the_cache_is_where_the_system_says(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache() == tmp_path / "fedjob/overlays"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", "/home/someone")
    assert default_cache() == Path("/home/someone/.cache/fedjob/overlays")
