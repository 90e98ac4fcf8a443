"""The modules beside a model file that it imports, and theirs in turn."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from fedjob.workspace.files.folder import is_junk, read_folder
from fedjob.workspace.source.decode import read_source
from fedjob.workspace.source.imports import RUNTIME_MODULES, imports_of
from fedjob.workspace.source.model_file import InvalidSourceError


@dataclass(frozen=True, slots=True)
class Neighbours:
    """What lies beside a model file.

    Attributes:
        files: The modules and packages that are imported, by path relative to the model file; a
            package with all its files.
        data: Other files beside it whose names stand in the code, and which are not shipped.
    """

    files: Mapping[str, bytes]
    data: tuple[str, ...]


def neighbours_of(file: Path, text: str) -> Neighbours:
    """Finds what a model file imports from its own folder, transitively.

    Args:
        file: The model file; its folder is searched.
        text: What it says; it must be Python.
    """
    folder = file.parent
    found: dict[str, bytes] = {}
    named: set[str] = set()
    pending = [text]
    while pending:
        tree = _parsed(pending.pop())
        if tree is None:
            continue  # the checks say what is wrong with it
        named |= _names_of_files(tree)
        for module in {name for name, _ in imports_of(tree)}:
            for path, content in _module_files(folder, module, own=file):
                if path not in found:
                    found[path] = content
                    pending += _python(path, content)
    data = sorted(
        name
        for name in named
        if name not in found and name != file.name and _is_data(folder / name)
    )
    return Neighbours(found, tuple(data))


def shipped_modules(files: Mapping[str, bytes]) -> dict[str, str]:
    """The importable modules among shipped files: dotted name to path.

    Folders without `__init__.py` are namespace packages, as Python takes them.
    """
    modules: dict[str, str] = {}
    for path in files:
        if path.endswith(".py") and all(
            part.isidentifier() for part in path.removesuffix(".py").split("/")
        ):
            name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            modules[name] = path
    return modules


def reached_modules(text: str, files: Mapping[str, bytes]) -> dict[str, str]:
    """The shipped modules that a model file certainly imports, transitively: path to text.

    An import that the file does without (in `try: ... except ImportError`) is not followed.
    """
    modules = shipped_modules(files)
    reached: dict[str, str] = {}
    pending = [("", text)]
    while pending:
        package, current = pending.pop()
        tree = _parsed(current)
        if tree is None:
            continue
        for name in _dotted_imports(tree, package):
            parts = name.split(".")
            for length in range(1, len(parts) + 1):
                module = ".".join(parts[:length])
                path = modules.get(module)
                if path is None or path in reached:
                    continue
                try:
                    reached[path] = read_source(files[path], path).text
                except InvalidSourceError:
                    reached[path] = ""
                    continue
                is_package = path.endswith("/__init__.py")
                inside = module if is_package else module.rpartition(".")[0]
                pending.append((inside, reached[path]))
    return reached


def _dotted_imports(tree: ast.Module, package: str) -> Iterator[str]:
    for name, optional in imports_of(tree, dotted=True):
        if not optional:
            yield name
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level and package:
            base = package.split(".")[: len(package.split(".")) - node.level + 1]
            start = ".".join([*base, *([node.module] if node.module else [])])
            yield start
            yield from (f"{start}.{alias.name}" for alias in node.names)


def _module_files(folder: Path, module: str, own: Path) -> Iterator[tuple[str, bytes]]:
    package = folder / module
    hidden = module in sys.stdlib_module_names or module in RUNTIME_MODULES
    # Python takes an installed module before a folder without `__init__.py`.
    is_package = (package / "__init__.py").is_file() or (
        not hidden and package.is_dir() and any(package.rglob("*.py"))
    )
    if is_package and not is_junk(module):
        for name, content in read_folder(package).items():
            yield f"{module}/{name}", content
    else:
        file = folder / f"{module}.py"
        if file.is_file() and file != own:
            yield file.name, file.read_bytes()


def _python(path: str, content: bytes) -> Iterator[str]:
    if path.endswith(".py"):
        try:
            yield read_source(content, path).text
        except InvalidSourceError:
            return


def _parsed(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _names_of_files(tree: ast.Module) -> set[str]:
    """Texts in the code that could name a file."""
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and 0 < len(node.value) <= 255
        and node.value.isprintable()
        and not node.value.startswith(("/", "~", "."))
    }


def _is_data(path: Path) -> bool:
    try:
        return path.is_file() and not is_junk(path.name)
    except OSError:
        return False
