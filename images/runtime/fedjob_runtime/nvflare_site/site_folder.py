"""An NVFlare site on disk: the kit in a writable folder, beside the settings fedjob relies on.

Used by server and worker; it knows NVFlare's file formats and nothing of jobs.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Component classes that a job of ours may name; NVFlare refuses every other class in a job's
# config.
OWN_CLASSES = ("fedjob_runtime.", "fedjob_executor.", "fedjob_persistor.", "nvflare.app_common.")


def prepare_site(
    kit: Path,
    folder: Path,
    resources: dict[str, Any],
    communication: dict[str, Any] | None = None,
) -> None:
    """Lays out `folder` as an NVFlare workspace: startup/ from the kit, local/ from `resources`.

    Args:
        kit: A startup kit's folder (a mounted Secret, or one made by `provisioning`).
        folder: Where NVFlare may write.
        resources: The content of local/resources.json.
        communication: The content of local/comm_config.json; None leaves NVFlare's defaults.
    """
    startup, local = folder / "startup", folder / "local"
    for part in (startup, local):
        part.mkdir(parents=True, exist_ok=True)
    for source in sorted(kit.iterdir()):
        # A mounted Secret also holds Kubernetes's own links `..data` and `..<date>`.
        if source.is_file() and not source.name.startswith(".."):
            target = startup / source.name
            target.unlink(missing_ok=True)
            shutil.copyfile(source, target)
            target.chmod(0o600)
    _write(local / "resources.json", resources)
    _write(
        local / "authorization.json",
        {"format_version": "1.0", "permissions": {"project_admin": "any"}},
    )
    _write(local / "log_config.json", _LOGGING)
    if communication is not None:
        _write(local / "comm_config.json", communication)


def edit_startup(folder: Path, name: str, edit: dict[str, Any], *keys: str | int) -> None:
    """Merges `edit` into the object at `keys` of startup/`name`."""
    path = folder / "startup" / name
    document = json.loads(path.read_text())
    target = document
    for key in keys:
        target = target[key]
    target.update(edit)
    _write(path, document)


def allowed_classes(user_classes: Sequence[str]) -> list[str]:
    """The allow list of a site whose job may also name the user's own classes."""
    return [*OWN_CLASSES, *user_classes]


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1))


_LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "plain": {
            "()": "nvflare.fuel.utils.log_utils.BaseFormatter",
            "fmt": "%(asctime)s %(name)s %(levelname)s %(message)s",
        }
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "level": "DEBUG",
            "formatter": "plain",
            "stream": "ext://sys.stdout",
        }
    },
    "loggers": {"root": {"level": "INFO", "handlers": ["console"]}},
}
