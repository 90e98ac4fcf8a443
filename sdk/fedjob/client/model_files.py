"""The files and requirements that a caller of `from_model` names, read from this machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from fedjob.errors import Fault, InvalidInputError
from fedjob.spec.models.model import MAX_TEXT, ModelFile
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


@dataclass(frozen=True, slots=True)
class ShippedFiles:
    """Files beside model_def.py, by how they travel.

    Attributes:
        inline: In the resource itself: text that fits into it.
        attached: Beside the resource: content by path.
    """

    inline: list[ModelFile] = field(default_factory=list)
    attached: dict[str, bytes] = field(default_factory=dict)


def shipped(files: Mapping[str, bytes], most: int = MAX_TEXT) -> ShippedFiles:
    """Small texts go into the resource; binary files, and text beyond its limit, beside it.

    Args:
        files: Content by path relative to model_def.py.
        most: Characters that the resource takes in all.
    """
    result = ShippedFiles()
    left = most
    for path, content in sorted(files.items(), key=lambda item: (len(item[1]), item[0])):
        text = _text(content)
        if text is None or len(text) > left or len(result.inline) >= MOST_INLINE:
            result.attached[path] = content
        else:
            left -= len(text)
            result.inline.append(ModelFile(path=path, text=text))
    result.inline.sort(key=lambda file: file.path)
    return result


MOST_INLINE = 64
"""Items of spec.model.files."""


def _text(content: bytes) -> str | None:
    """As YAML can hold it, byte by byte; None for anything else."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    return (
        text if all(character.isprintable() or character in "\n\t" for character in text) else None
    )


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
