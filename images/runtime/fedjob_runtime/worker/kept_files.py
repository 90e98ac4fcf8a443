"""Keeps what the training function leaves in out_dir, round by round, within a limit."""

from __future__ import annotations

import io
import os
import shutil
import zipfile
from pathlib import Path

from fedjob.protocol.config import KeptFiles
from fedjob.reasons import Reason
from fedjob_runtime.site_log.post_form import post_form
from fedjob_runtime.training.notes import Note

SEND_SECONDS = 120.0


def kept_files_from(text: str | None) -> KeptFiles | None:
    """The settings in an environment variable; None where nothing is kept."""
    return KeptFiles.model_validate_json(text) if text else None


def keep_files(keep: KeptFiles, out_dir: Path, number: int) -> Note | None:
    """Keeps the files of one round; links are left out, because they may lead anywhere.

    Args:
        keep: Where to, and how much.
        out_dir: The round's folder.
        number: The round as commits count it, from 1.

    Returns:
        Why the files were not kept; None where they were, or there are none.
    """
    files = [path for path in sorted(out_dir.rglob("*")) if _is_plain(path)]
    if not files:
        return None
    size = sum(path.stat().st_size for path in files)
    if size > keep.max_bytes:
        text = (
            f"out_dir of round {number} has {size} bytes, spec.workers.keepFiles.maxBytes is "
            f"{keep.max_bytes}; leave less there, or raise it in a new job"
        )
        return Note(Reason.FILES_NOT_KEPT, text)
    try:
        if keep.folder is not None:
            _copy(files, out_dir, Path(keep.folder) / f"round-{number}")
        if keep.forms is not None:
            form = Path(keep.forms) / f"files-{number}.json"
            post_form(form, _packed(files, out_dir), timeout=SEND_SECONDS)
    except OSError as error:
        text = f"out_dir of round {number}: {error}; the round counts without its files"
        return Note(Reason.FILES_NOT_KEPT, text)
    return None


def _is_plain(path: Path) -> bool:
    """Whether it is a file, and no link leads to it from out_dir."""
    return path.is_file() and not path.is_symlink()


def _copy(files: list[Path], out_dir: Path, target: Path) -> None:
    """Copies files to a folder that has all of them or does not exist."""
    scratch = target.with_name(f".{target.name}")
    for folder in (scratch, target):
        if folder.exists():
            shutil.rmtree(folder)
    for path in files:
        place = scratch / path.relative_to(out_dir)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    os.rename(scratch, target)


def _packed(files: list[Path], out_dir: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files:
            archive.write(path, path.relative_to(out_dir).as_posix())
    return buffer.getvalue()
