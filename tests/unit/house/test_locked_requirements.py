"""An image installs what its lock file names, and nothing with another hash."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from support.repository import ROOT

IMAGES = ROOT / "images"
LOCKS = sorted(IMAGES.glob("*/requirements*.txt"))
DOCKERFILES = sorted(IMAGES.glob("*/Dockerfile"))


def pinned(path: Path) -> dict[str, str]:
    """name: version of a requirements file, the files that it includes with it."""
    found: dict[str, str] = {}
    for line in path.read_text().splitlines():
        if line.startswith("-r "):
            found |= pinned(path.parent / line.removeprefix("-r ").strip())
        elif re.match(r"[A-Za-z0-9]", line):
            requirement = Requirement(line.split(" \\")[0])
            assert re.fullmatch(r"==[^*,]+", str(requirement.specifier)), f"{path}: {line}"
            version = str(requirement.specifier).removeprefix("==")
            found[canonicalize_name(requirement.name)] = version
    return found


def test_every_list_has_its_lock() -> None:
    lists = {path.with_suffix(".txt") for path in IMAGES.glob("*/requirements*.in")}
    assert set(LOCKS) == lists
    assert len(lists) >= 5


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_lock_has_the_versions_of_its_list_and_a_hash_for_each(lock: Path) -> None:
    listed, locked = pinned(lock.with_suffix(".in")), pinned(lock)
    # Only the tools of the build bring dependencies that their list does not name.
    assert listed.items() <= locked.items(), "run `make lock`"
    assert lock.parent.name == "build" or locked.keys() == listed.keys(), "run `make lock`"
    entries = re.split(r"\n(?=\S)", lock.read_text().strip())
    assert len(entries) == len(locked)
    for entry in entries:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry), entry


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_dockerfile_installs_by_hash_from_a_base_that_the_build_names(dockerfile: Path) -> None:
    text = dockerfile.read_text()
    installs = re.findall(r"pip install [^\n]*(?:\\\n[^\n]*)*", text)
    assert installs
    for command in installs:
        # fedjob's own wheel comes from the stage before.
        by_hash = "--require-hashes -r" in command
        assert by_hash or command.endswith("--no-deps /opt/fedjob/wheels/*.whl"), command
    assert re.findall(r"^ARG BASE.*$", text, re.MULTILINE) == ["ARG BASE"], "a tag is not a pin"
    bases = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    stages = re.findall(r"^FROM \S+ AS (\S+)", text, re.MULTILINE)
    assert set(bases) <= {"${BASE}", "scratch", *stages}


def test_images_and_package_pin_the_same_versions() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    wanted = [Requirement(text) for group in groups for text in group]
    versions: dict[str, set[str]] = {}
    for lock in LOCKS:
        for name, version in pinned(lock).items():
            versions.setdefault(name, set()).add(version)
    differ = {name: found for name, found in versions.items() if len(found) > 1}
    assert not differ, "two images have two versions"
    for requirement in wanted:
        for version in versions.get(canonicalize_name(requirement.name), ()):
            assert requirement.specifier.contains(version), f"{requirement} but {version}"
