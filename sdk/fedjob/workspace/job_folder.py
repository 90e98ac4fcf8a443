"""Writing a rendered job folder to disk, and reading it back for the upload (row 35)."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from fedjob.errors import Fault, InvalidInputError

MARK = "meta.json"
JOB_FILE = "job.yaml"
"""In a folder that `fedjob build` wrote: the resource; `fedjob upload` reads its name and storage.
"""


class NotAJobFolderError(InvalidInputError):
    """The folder is something else."""


def write_job_folder(files: Mapping[str, bytes], folder: str | Path) -> Path:
    """Writes the files as `folder`: all of them, or none.

    Args:
        files: Path in the folder to bytes, as `render_job_folder` gives them.
        folder: A new folder, an empty one, or an older job folder, which is replaced.

    Raises:
        NotAJobFolderError: The folder holds something else, which would be lost.
    """
    folder = Path(folder).absolute()
    _check_replaceable(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as scratch:
        made = Path(scratch) / "new"
        for name, content in files.items():
            target = made / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        if folder.exists():
            folder.rename(Path(scratch) / "old")
        made.rename(folder)
    return folder


def read_job_folder(folder: str | Path) -> dict[str, bytes]:
    """The files of a job folder, by path; caches of Python left out.

    Raises:
        NotAJobFolderError: There is none.
    """
    folder = Path(folder)
    if not (folder / MARK).is_file() or not (folder / "app" / "config").is_dir():
        problem = f"is not a job folder: it has no {MARK} and app/config"
        raise NotAJobFolderError([Fault(str(folder), problem, "make one with `fedjob build`")])
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def remove_job_folder(folder: str | Path) -> None:
    """Removes a job folder, and nothing else.

    Raises:
        NotAJobFolderError: It is something else.
    """
    folder = Path(folder).absolute()
    _check_replaceable(folder)
    if folder.exists():
        shutil.rmtree(folder)


def _check_replaceable(folder: Path) -> None:
    if not folder.exists():
        return
    if folder.is_dir() and not folder.is_symlink():
        if not any(folder.iterdir()):
            return
        if (folder / MARK).is_file() and (folder / "app").is_dir():
            return
    problem = "exists and is not a job folder"
    raise NotAJobFolderError([Fault(str(folder), problem, "name a new or empty folder")])
