"""JSON files that the processes of one pod exchange: complete or absent, never half-written.

The supervisor, NVFlare's parent process and the job process are three processes that may each die
at any moment; files survive them all, need no port and can be read by a person with `cat`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fedjob.atomic_files import write_text


def write_json(path: Path, value: object) -> None:
    """Replaces `path` in one step, so that a reader sees the old value or the new one."""
    write_text(path, json.dumps(value))


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in `path`, or None where there is none yet."""
    try:
        with open(path, encoding="utf-8") as file:
            value = json.load(file)
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return value if isinstance(value, dict) else None
