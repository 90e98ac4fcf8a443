"""What the files beside model_def.py may be called and how large they may be; pure."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fedjob.errors import Fault
from fedjob.spec.validation.checks import GENERATED_FILES
from fedjob.workspace.shard.entries import name_problem
from fedjob.workspace.shard.unicode_names import normal_form
from fedjob.workspace.source.imports import RUNTIME_MODULES


@dataclass(frozen=True, slots=True)
class FileLimits:
    """Bounds of all files beside model_def.py. They travel in the image's layer, not in shards.

    Attributes:
        max_files: How many.
        max_file_bytes: Bytes of one.
        max_total_bytes: Bytes of all.
    """

    max_files: int = 2000
    max_file_bytes: int = 16 << 20
    max_total_bytes: int = 32 << 20


DEFAULT_LIMITS = FileLimits()
_RESERVED_STEMS = frozenset(name.removesuffix(".py") for name in GENERATED_FILES)
_SMALLER = "put data into the shards, or weights into spec.model.checkpoint"
MAX_FAULTS = 20


def file_faults(
    files: Mapping[str, bytes], where: str, limits: FileLimits = DEFAULT_LIMITS
) -> list[Fault]:
    """What keeps these files from being shipped, at most `MAX_FAULTS` faults.

    Args:
        files: Content by path relative to model_def.py.
        where: What messages call them, such as `spec.model.files`.
        limits: What they may hold.
    """
    faults = [*_size_faults(files, where, limits), *_name_faults(files, where)]
    return faults[:MAX_FAULTS]


def _size_faults(files: Mapping[str, bytes], where: str, limits: FileLimits) -> Iterator[Fault]:
    if len(files) > limits.max_files:
        problem = f"are {len(files)} files; at most {limits.max_files} are allowed"
        yield Fault(where, problem, _SMALLER)
    total = sum(map(len, files.values()))
    if total > limits.max_total_bytes:
        problem = f"hold {total} bytes; at most {limits.max_total_bytes} are allowed"
        yield Fault(where, problem, _SMALLER)
    for path, content in files.items():
        if len(content) > limits.max_file_bytes:
            problem = f"has {len(content)} bytes; at most {limits.max_file_bytes} are allowed"
            yield Fault(f"{where}: {path}", problem, _SMALLER)


def _name_faults(files: Mapping[str, bytes], where: str) -> Iterator[Fault]:
    folders = {parent for path in files for parent in _parents(path)}
    seen: dict[str, str] = {}
    for path in files:
        at = f"{where}: {path[:120]!r}" if not path.isprintable() else f"{where}: {path[:120]}"
        problem = path_problem(path)
        if problem is not None:
            yield Fault(at, *problem)
            continue
        if path in folders:
            yield Fault(at, "is a file, and another file needs it as a folder", "rename one")
        same = normal_form(path).casefold()
        if same in seen:
            yield Fault(at, f"is there twice, as {seen[same]} too", "case does not count: drop one")
        seen.setdefault(same, path)
    yield from _module_faults(files, where)


def _module_faults(files: Mapping[str, bytes], where: str) -> Iterator[Fault]:
    """Modules that would hide one of fedjob's, of Python's or of the runtime image."""
    for name in sorted({module_of(path) for path in files if module_of(path)}):
        if name in _RESERVED_STEMS:
            problem = f"module {name} has the name of a generated file"
            yield Fault(where, problem, "rename it")
        elif name in sys.stdlib_module_names:
            problem = f"module {name} would hide Python's own module of that name"
            yield Fault(where, problem, f"rename it, such as my_{name}")
        elif name in RUNTIME_MODULES or name == "fedjob":
            problem = f"module {name} would hide the package of that name"
            yield Fault(where, problem, f"rename it, such as my_{name}")


def module_of(path: str) -> str:
    """The top-level module that a file makes importable; empty for a file that makes none.

    A folder without `__init__.py` hides nothing: Python takes a real module or package first.
    """
    first, _, rest = path.partition("/")
    if not rest:
        return first.removesuffix(".py") if first.endswith(".py") else ""
    return first if rest == "__init__.py" else ""


def path_problem(path: str) -> tuple[str, str] | None:
    """What is wrong with a file's path, and what to do; None when it may be shipped."""
    problem = name_problem(path)
    if problem is not None:
        return problem[0].replace("the shard", "the folder"), "use a plain relative path"
    parts = path.split("/")
    if "" in parts or "." in parts:
        return "has an empty or `.` part", "use a plain relative path"
    if len(path.encode()) > 512:
        return "has a path of more than 512 bytes", "use shorter names"
    if any(part.startswith(".wh.") for part in parts):
        return "begins with .wh., by which image layers delete files", "rename it"
    return None


def _parents(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path
