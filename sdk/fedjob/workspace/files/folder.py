"""A folder of code on this machine: the files that are shipped, and the model file among them."""

from __future__ import annotations

import ast
import os
import stat
from collections.abc import Collection
from pathlib import Path

from fedjob.errors import Fault, InvalidInputError
from fedjob.workspace.files.rules import DEFAULT_LIMITS, FileLimits
from fedjob.workspace.source.signatures import FORM_A

MODEL_FILE = "model_def.py"
_JUNK_FOLDERS = frozenset(
    {
        *(".git", ".hg", ".svn", "__pycache__", ".venv", "venv", ".tox", ".nox"),
        *(".ipynb_checkpoints", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".idea", ".vscode"),
        *("node_modules", "fedjob-out", "__MACOSX"),
    }
)
_JUNK_SUFFIXES = (".pyc", ".pyo", ".swp", "~", ".DS_Store")
_SMALLER = "give a folder of code only; data belongs into the shards"


class InvalidFolderError(InvalidInputError):
    """A folder of code cannot be used."""


def is_junk(name: str) -> bool:
    """Whether a file or folder of this name is left out: caches, environments, version control."""
    return name in _JUNK_FOLDERS or name.endswith((".egg-info", *_JUNK_SUFFIXES))


def read_folder(
    folder: Path, limits: FileLimits = DEFAULT_LIMITS, left_out: Collection[Path] = ()
) -> dict[str, bytes]:
    """Every file of a folder but junk, by relative path with `/`; links to files are followed.

    Args:
        folder: The folder.
        limits: Reading stops beyond them.
        left_out: Folders in it that are not code, such as the shards.

    Raises:
        InvalidFolderError: It holds too much, or something that is not a file.
    """
    files: dict[str, bytes] = {}
    total = 0
    skipped = {path.resolve() for path in left_out}
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            # An environment of another name is known by its pyvenv.cfg.
            if not is_junk(name)
            and not (Path(root) / name / "pyvenv.cfg").exists()
            and (Path(root) / name).resolve() not in skipped
        )
        for name in sorted(names):
            path = Path(root) / name
            if is_junk(name):
                continue
            if not stat.S_ISREG(path.stat().st_mode):
                fault = Fault(str(path), "is not a file", "remove it from the folder")
                raise InvalidFolderError([fault])
            total += path.stat().st_size
            if total > limits.max_total_bytes or len(files) == limits.max_files:
                problem = (
                    f"holds more than {limits.max_total_bytes} bytes or {limits.max_files} files"
                )
                raise InvalidFolderError([Fault(str(folder), problem, _SMALLER)])
            files[path.relative_to(folder).as_posix()] = path.read_bytes()
    return files


def model_file_in(folder: Path, class_name: str | None) -> Path:
    """The model file of a folder: model_def.py, else the one file that defines the class.

    Args:
        folder: The folder; only its top level is searched.
        class_name: `model.className`, of which the first part counts; None: the job has no model,
            and the file is the one that defines `fl_train_model`.

    Raises:
        InvalidFolderError: There is none, or there are several.
    """
    if (folder / MODEL_FILE).is_file():
        return folder / MODEL_FILE
    name = (class_name or FORM_A).partition(".")[0]
    found = [path for path in sorted(folder.glob("*.py")) if _defines(path, name)]
    if len(found) == 1:
        return found[0]
    problem = f"has no {MODEL_FILE}, and no file that defines {name}"
    if found:
        names = ", ".join(path.name for path in found)
        problem = f"has no {MODEL_FILE}, and {name} is defined in {names}"
    fix = f"name the model's file {MODEL_FILE}, or give the file itself: --model-file FILE"
    raise InvalidFolderError([Fault(str(folder), problem, fix)])


def _defines(path: Path, name: str) -> bool:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return False
    return any(
        (isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name)
        or (
            isinstance(node, ast.Assign)
            and any(isinstance(target, ast.Name) and target.id == name for target in node.targets)
        )
        for node in tree.body
    )
