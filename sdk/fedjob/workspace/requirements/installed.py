"""Which requirements the Python that runs this has: looked up, nothing is imported."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import parse_wheel_filename
from packaging.version import InvalidVersion, Version

from fedjob.workspace.requirements.lines import RequirementLine

Find = Callable[[str], importlib.metadata.Distribution | None]


@dataclass(frozen=True, slots=True)
class MissingRequirement:
    """A requirement that is not satisfied.

    Attributes:
        line: The requirement.
        installed: The version that is installed and does not fit; empty where none is.
        because: What is missing of an installed distribution: the dependency of an extra.
    """

    line: RequirementLine
    installed: str = ""
    because: str = ""

    def __str__(self) -> str:
        text = self.line.text.split(" --hash=")[0]
        if self.because:
            return f"{text} (its extra needs {self.because})"
        return f"{text} ({self.installed} is installed)" if self.installed else text


def find_distribution(name: str) -> importlib.metadata.Distribution | None:
    """The installed distribution of that name, whatever its case and dashes."""
    try:
        return importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def missing_requirements(
    lines: Iterable[RequirementLine], find: Find = find_distribution
) -> list[MissingRequirement]:
    """The requirements that are not installed in a version that satisfies them.

    Args:
        lines: What is needed; one whose marker does not hold here is not needed.
        find: Looks a distribution up.
    """
    return [missing for line in lines for missing in _missing(line, find)][:64]


def _missing(line: RequirementLine, find: Find) -> Iterator[MissingRequirement]:
    if line.requirement is None:
        name, version, *_ = parse_wheel_filename(line.wheel.rpartition("/")[2])
        wanted = Requirement(f"{name}=={version}")
    else:
        wanted = line.requirement
    if wanted.marker is not None and not wanted.marker.evaluate():
        return
    found = find(wanted.name)
    if found is None or not _satisfies(found.version, wanted):
        yield MissingRequirement(line, found.version if found is not None else "")
        return
    for needed in _needed_by_extras(found, wanted):
        have = find(needed.name)
        if have is None or not _satisfies(have.version, needed):
            yield MissingRequirement(line, because=str(needed).partition(";")[0].strip())
            return


def _satisfies(version: str, wanted: Requirement) -> bool:
    try:
        # What is installed was chosen by someone: a pre-release counts.
        return wanted.specifier.contains(Version(version), prereleases=True)
    except InvalidVersion:
        return False


def _needed_by_extras(
    found: importlib.metadata.Distribution, wanted: Requirement
) -> Iterator[Requirement]:
    for text in found.requires or ():
        try:
            needed = Requirement(text)
        except InvalidRequirement:
            continue
        if needed.marker is not None and any(
            needed.marker.evaluate({"extra": extra}) for extra in wanted.extras
        ):
            yield needed
