"""requirements.txt read as pip reads it, as far as a job can use it; pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from fedjob.errors import Fault, InvalidInputError

FILE = "requirements.txt"
"""Among the files of a model: more requirements, beside `spec.model.requirements`."""

_COMMENT = re.compile(r"(^|\s)#.*$")
_HASH = re.compile(r"\s+--hash(?:=|\s+)(\S+)")
_GOOD_HASH = re.compile(r"sha(256|384|512):[0-9a-f]{64,128}")
_OPTIONS = {
    ("-r", "--requirement", "-c", "--constraint"): "copy the lines of that file here",
    ("-e", "--editable"): "ship the folder as files of the model, or build a wheel of it",
    ("-i", "--index-url", "--extra-index-url", "--trusted-host", "--no-index"): (
        "remove it: where packages come from is set where the image is built (PIP_INDEX_URL)"
    ),
    ("-f", "--find-links"): "put the wheels beside the file and name them: ./x.whl",
}


class InvalidRequirementsError(InvalidInputError):
    """Lines that a job cannot install."""


@dataclass(frozen=True, slots=True)
class RequirementLine:
    """One requirement.

    Attributes:
        text: As `spec.model.requirements` and pip take it, on one line, without comment.
        requirement: Its name, versions and marker; None for a wheel.
        wheel: Path of a wheel among the model's files; empty for anything else.
        hashes: `sha256:...`, as given.
    """

    text: str
    requirement: Requirement | None
    wheel: str = ""
    hashes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The distribution."""
        if self.requirement is not None:
            return self.requirement.name
        return str(parse_wheel_filename(self.wheel.rpartition("/")[2])[0])


def parse_requirements(text: str, name: str) -> list[RequirementLine]:
    """The requirements of a file: comments, continued lines, markers and hashes are read.

    Args:
        text: The file.
        name: What messages call it.

    Raises:
        InvalidRequirementsError: Options such as `-r`, and lines that pip would refuse; all faults.
    """
    found: list[RequirementLine] = []
    faults: list[Fault] = []
    for number, line in _logical_lines(text):
        try:
            found.append(parse_requirement(line, f"{name} line {number}"))
        except InvalidRequirementsError as error:
            faults += error.faults
    if faults:
        raise InvalidRequirementsError(faults)
    return found


def parse_requirement(line: str, where: str) -> RequirementLine:
    """One requirement, such as `numpy>=2; python_version < "3.13"` or `./wheels/x.whl`.

    Raises:
        InvalidRequirementsError: It is not one.
    """
    hashes = tuple(_HASH.findall(line))
    bare = _HASH.sub("", line).strip()
    option = bare.split("=")[0].split()[0] if bare.startswith("-") else ""
    if option:
        fixes = [fix for names, fix in _OPTIONS.items() if option in names]
        fix = fixes[0] if fixes else "write one package a line, without options of pip"
        raise _refused(where, f"`{bare[:80]}` is an option of pip", fix)
    if bad := [item for item in hashes if not _GOOD_HASH.fullmatch(item)]:
        raise _refused(where, f"`{bad[0][:80]}` is not a hash", "write sha256: and 64 digits")
    suffix = "".join(f" --hash={item}" for item in hashes)
    if bare.endswith(".whl") and "@" not in bare and ";" not in bare:
        return _wheel(bare, suffix, hashes, where)
    try:
        requirement = Requirement(bare)
    except InvalidRequirement as error:
        raise _refused(
            where, f"`{bare[:80]}` is not a requirement ({_first(error)})", _FIX
        ) from None
    if requirement.url is not None and not requirement.url.startswith("https://"):
        fix = "build a wheel, put it beside the file and name it: ./x.whl"
        raise _refused(where, f"`{bare[:80]}` is not at an https:// address", fix)
    return RequirementLine(bare + suffix, requirement, hashes=hashes)


_FIX = "write it as pip takes it, such as scikit-learn>=1.5,<2"


def _wheel(bare: str, suffix: str, hashes: tuple[str, ...], where: str) -> RequirementLine:
    if "://" in bare:
        raise _refused(where, f"`{bare[:80]}` has no name", f"write `name @ {bare[:80]}`")
    path = bare.removeprefix("./")
    if path.startswith(("/", "~")) or ".." in path.split("/"):
        fix = "put the wheel beside the model file and name it: ./x.whl"
        raise _refused(where, f"{bare} is not beside the model file", fix)
    try:
        parse_wheel_filename(path.rpartition("/")[2])
    except InvalidWheelFilename as error:
        raise _refused(where, f"{bare}: {_first(error)}", "keep the wheel's own name") from None
    return RequirementLine(f"./{path}{suffix}", None, wheel=path, hashes=hashes)


def wheel_faults(lines: Iterable[RequirementLine], files: Mapping[str, bytes]) -> Iterator[Fault]:
    """Wheels that are named and not among the model's files."""
    for line in lines:
        if line.wheel and line.wheel not in files:
            fix = "put it beside model_def.py, or add it to spec.model.files"
            yield Fault("spec.model.requirements", f"{line.wheel} is not there", fix)


def all_requirements(
    given: Iterable[str], files: Mapping[str, bytes]
) -> tuple[RequirementLine, ...]:
    """`spec.model.requirements`, then those of a requirements.txt among the files; each once.

    Raises:
        InvalidInputError: Lines that cannot be used, and wheels that are not there: all faults.
    """
    found: list[RequirementLine] = []
    faults: list[Fault] = []
    for index, text in enumerate(given):
        try:
            found.append(parse_requirement(text, f"spec.model.requirements[{index}]"))
        except InvalidRequirementsError as error:
            faults += error.faults
    if FILE in files:
        try:
            found += parse_requirements(files[FILE].decode("utf-8-sig"), FILE)
        except UnicodeDecodeError:
            faults.append(Fault(FILE, "is not UTF-8 text", "save it as UTF-8"))
        except InvalidRequirementsError as error:
            faults += error.faults
    faults += wheel_faults(found, files)
    if faults:
        raise InvalidRequirementsError(faults)
    return tuple({line.text: line for line in found}.values())


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """(number of its first line, the line), without comments; a backslash continues a line."""
    pending, start = "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        start = start or number
        plain = _COMMENT.sub("", line)
        if plain.endswith("\\"):
            pending += plain[:-1] + " "
            continue
        if whole := (pending + plain).strip():
            yield start, whole
        pending, start = "", 0
    if pending.strip():
        yield start, pending.strip()


def _refused(where: str, problem: str, fix: str) -> InvalidRequirementsError:
    return InvalidRequirementsError([Fault(where, problem, fix)])


def _first(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
