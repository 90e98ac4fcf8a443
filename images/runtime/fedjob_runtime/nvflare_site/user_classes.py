"""The author's classes that a job's configuration names: NVFlare's sites must allow them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def user_classes(job_folder: Path) -> list[str]:
    """Prefixes of the class paths in the job folder's configurations that live in app/custom."""
    custom = job_folder / "app/custom"
    modules = {path.stem for path in custom.glob("*.py")}
    modules |= {path.parent.relative_to(custom).parts[0] for path in custom.glob("*/**/*.py")}
    found: set[str] = set()
    for side in ("client", "server"):
        config = json.loads((job_folder / f"app/config/config_fed_{side}.json").read_text())
        _collect(config, modules, found)
    return sorted(found)


def _collect(node: Any, modules: set[str], found: set[str]) -> None:
    if isinstance(node, dict):
        path = node.get("path")
        if isinstance(path, str) and path.split(".")[0] in modules:
            found.add(f"{path.split('.')[0]}.")
        for value in node.values():
            _collect(value, modules, found)
    elif isinstance(node, list):
        for value in node:
            _collect(value, modules, found)
