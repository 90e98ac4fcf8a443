"""The NVFlare job of one segment: the generated configuration with this segment's settings.

The author's code is not in it: every site has app/custom from the job's image or folder already.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any


def write_segment(
    job_folder: Path, target: Path, *, segment: int, start_round: int, clients: list[str]
) -> Path:
    """Writes the segment's job folder and returns it.

    Args:
        job_folder: The generated job folder (app/config, meta.json).
        target: Folder for segments; a folder of this one is made below it.
        segment: The segment's number.
        start_round: The committed round to start from, -1 for none.
        clients: The workers that take part.
    """
    folder = target / f"segment-{segment}"
    shutil.rmtree(folder, ignore_errors=True)
    config = folder / "app" / "config"
    config.mkdir(parents=True)
    meta = _read(job_folder / "meta.json")
    meta["deploy_map"] = {"app": ["server", *clients]}
    meta["min_clients"] = 1
    meta["mandatory_clients"] = []
    _write(folder / "meta.json", meta)
    server = _read(job_folder / "app/config/config_fed_server.json")
    workflow = server["workflows"][0]
    workflow["args"] = {
        **workflow.get("args", {}),
        "segment": segment,
        "start_round": start_round,
        "clients": clients,
    }
    _write(config / "config_fed_server.json", server)
    _write(
        config / "config_fed_client.json", _read(job_folder / "app/config/config_fed_client.json")
    )
    return folder


def _read(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_text())
    return value


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2))
