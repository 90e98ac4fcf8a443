"""`fedjob run --install`: missing packages in a cached folder, for the job's processes only.

The Python that runs fedjob is left as it is. pip first resolves against what is installed, so that
a package that needs torch does not bring another torch along.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from fedjob.errors import Fault, InvalidInputError, UnavailableError
from fedjob.preparation.prepared import PreparedRun
from fedjob.workspace.components import CUSTOM
from fedjob.workspace.requirements.installed import MissingRequirement, missing_requirements
from fedjob.workspace.requirements.lines import RequirementLine

Run = Callable[[list[str]], "subprocess.CompletedProcess[str]"]
_PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input")
_TAIL = 1500


class MissingRequirementsError(InvalidInputError):
    """This Python lacks packages that the model needs."""


class InstallError(UnavailableError):
    """pip could not install them."""


def missing_fault(missing: Sequence[MissingRequirement]) -> MissingRequirementsError:
    """The error that lists what is missing, and how to get it."""
    names = ", ".join(str(item) for item in missing)
    fix = "run it with --install (into a cached folder, for this job only), or install them"
    return MissingRequirementsError(
        [Fault("spec.model.requirements", f"not installed here: {names}", fix)]
    )


def _silent(names: str) -> AbstractContextManager[object]:
    return nullcontext()


def with_packages(
    prepared: PreparedRun,
    *,
    install: bool,
    working: Callable[[str], AbstractContextManager[object]] = _silent,
) -> PreparedRun:
    """The run, with a folder of the packages that this Python lacks.

    Args:
        prepared: The job.
        install: Whether they may be installed, for this job only.
        working: Open while pip works, with the names of what it installs.

    Raises:
        MissingRequirementsError: Packages are missing and may not be installed; all of them.
        InstallError: They could not be installed.
    """
    missing = missing_requirements(prepared.requirements)
    if not missing:
        return prepared
    if not install:
        raise missing_fault(missing)
    files = {
        path.removeprefix(CUSTOM): content
        for path, content in prepared.job_files.items()
        if path.startswith(CUSTOM)
    }
    with working(", ".join(str(item) for item in missing)):
        overlay = overlay_for(prepared.requirements, files, default_cache())
    return replace(prepared, python_path=(overlay,))


def default_cache() -> Path:
    """`$XDG_CACHE_HOME/fedjob/overlays`, `~/.cache/fedjob/overlays` by default."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "fedjob" / "overlays"


def overlay_for(
    lines: Sequence[RequirementLine],
    files: Mapping[str, bytes],
    cache: Path,
    run: Run | None = None,
) -> Path:
    """The folder with the missing packages; it is made once for the same requirements.

    Args:
        lines: All requirements of the model: they are resolved together.
        files: The model's files, for its wheels.
        cache: Where such folders are kept.
        run: Runs pip.

    Returns:
        A folder for PYTHONPATH.

    Raises:
        InstallError: There is no pip, or it failed; with the end of what it printed.
    """
    run = run or _run
    folder = cache / _digest(lines, files)
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".install-", dir=cache) as scratch:
        base = Path(scratch)
        wanted, report = base / "requirements.txt", base / "report.json"
        wanted.write_text("".join(_pip_line(line, files, base) for line in lines))
        _check(
            run(
                [
                    *_PIP,
                    "install",
                    "--quiet",
                    "--dry-run",
                    "--report",
                    str(report),
                    "-r",
                    str(wanted),
                ]
            )
        )
        exact, made = base / "exact.txt", base / "made"
        made.mkdir()
        chosen = _exact(json.loads(report.read_text()))
        if chosen:
            exact.write_text("".join(chosen))
            _check(
                run(
                    [
                        *_PIP,
                        "install",
                        "--quiet",
                        "--no-deps",
                        "--target",
                        str(made),
                        "-r",
                        str(exact),
                    ]
                )
            )
        try:
            made.rename(folder)
        except OSError:
            # Another run made it meanwhile.
            if not folder.is_dir():
                raise
            shutil.rmtree(made)
    return folder


def _digest(lines: Sequence[RequirementLine], files: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256(f"{sys.version}\0{sysconfig.get_platform()}\0{sys.prefix}".encode())
    for line in sorted(lines, key=lambda line: line.text):
        digest.update(f"\0{line.text}".encode())
        digest.update(files.get(line.wheel, b""))
    return digest.hexdigest()[:32]


def _pip_line(line: RequirementLine, files: Mapping[str, bytes], folder: Path) -> str:
    """The requirement as pip reads it from a file; a wheel is written beside it."""
    if not line.wheel:
        return f"{line.text}\n"
    path = folder / "wheels" / line.wheel
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(files[line.wheel])
    return f"{path}{''.join(f' --hash={item}' for item in line.hashes)}\n"


def _exact(report: Mapping[str, Any]) -> list[str]:
    """What pip chose to install, pinned to those files (pip's installation report, version 1)."""
    lines = []
    for item in report.get("install", ()):
        info, download = item["metadata"], item["download_info"]
        if download["url"].startswith("file:") or item.get("is_direct"):
            lines.append(f"{info['name']} @ {download['url']}\n")
            continue
        hashes = download.get("archive_info", {}).get("hashes", {})
        pins = "".join(f" --hash={kind}:{value}" for kind, value in hashes.items())
        lines.append(f"{info['name']}=={info['version']}{pins}\n")
    # pip wants a hash for all of them or for none.
    if any("--hash=" not in line for line in lines):
        lines = [line.split(" --hash=")[0].rstrip("\n") + "\n" for line in lines]
    return lines


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _check(done: subprocess.CompletedProcess[str]) -> None:
    if done.returncode == 0:
        return
    if "No module named pip" in done.stderr:
        msg = f"--install: {sys.executable} has no pip; install the packages yourself, or add pip"
        raise InstallError(msg)
    tail = done.stderr.strip()[-_TAIL:]
    raise InstallError(f"--install: pip failed; correct the requirements, or the network:\n{tail}")
