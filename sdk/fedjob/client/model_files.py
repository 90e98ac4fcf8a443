"""The files and requirements that a caller of `from_model` names, read from this machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

from fedjob.errors import Fault, InvalidInputError
from fedjob.workspace.files.folder import read_folder
from fedjob.workspace.requirements.lines import parse_requirement, parse_requirements

Files: TypeAlias = Iterable[str | Path] | Mapping[str, str | Path | bytes]
Requirements: TypeAlias = str | Path | Iterable[str]


def read_files(files: Files) -> dict[str, bytes]:
    """Content by path relative to model_def.py.

    Args:
        files: Paths of files and folders, which are shipped under their own names; or a mapping of
            the path beside model_def.py to a path on this machine, or to the content as bytes.

    Raises:
        InvalidInputError: One cannot be read; all of them at once.
    """
    if isinstance(files, str | Path):
        files = [files]
    named = (
        files.items()
        if isinstance(files, Mapping)
        else ((Path(path).expanduser().resolve().name, path) for path in files)
    )
    found: dict[str, bytes] = {}
    faults = []
    for name, given in named:
        if isinstance(given, bytes):
            found[name] = given
            continue
        path = Path(given).expanduser()
        try:
            if path.is_dir():
                found |= {f"{name}/{inner}": data for inner, data in read_folder(path).items()}
            else:
                found[name] = path.read_bytes()
        except OSError as error:
            fix = "give the path of a file or folder on this machine"
            faults.append(Fault(f"files: {path}", error.strerror or str(error), fix))
    if faults:
        raise InvalidInputError(faults)
    return found


def requirement_lines(requirements: Requirements) -> list[str]:
    """The lines as `spec.model.requirements` takes them.

    Args:
        requirements: Requirements as pip names them, or the path of a requirements.txt.

    Raises:
        InvalidInputError: The file cannot be read, or a line is not a requirement; all of them.
    """
    if isinstance(requirements, str | Path):
        path = Path(requirements).expanduser()
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            problem = getattr(error, "strerror", None) or "is not UTF-8 text"
            fix = "give a list such as ['torchvision'], or the path of a requirements.txt"
            raise InvalidInputError([Fault(f"requirements: {path}", problem, fix)]) from error
        return [line.text for line in parse_requirements(text, str(path))]
    faults: list[Fault] = []
    lines = []
    for number, line in enumerate(requirements):
        try:
            lines.append(parse_requirement(line, f"requirements[{number}]").text)
        except InvalidInputError as error:
            faults += error.faults
    if faults:
        raise InvalidInputError(faults)
    return lines
