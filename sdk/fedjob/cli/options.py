"""Arguments that several commands share; reading of the job's file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from fedjob.errors import Fault, InvalidInputError
from fedjob.preparation.prepared import LocalFiles

File: TypeAlias = Annotated[
    str,
    typer.Argument(metavar="FILE", help="The FederatedJob as YAML or JSON; - reads it from stdin."),
]
Shards: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Folder of the shard ZIPs. \\[default: shards/ beside FILE, if it is there]",
    ),
]
ModelFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        help="model_def.py, with the modules beside it that it imports, or a folder of code, or a "
        "notebook; in place of what spec.model.source names.",
    ),
]
Checkpoint: TypeAlias = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="First weights, in place of spec.model.checkpoint."),
]
Json: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout, for scripts.")
]


def read_job_text(file: str) -> tuple[str, str]:
    """The text of a job file, and its name in messages.

    Raises:
        InvalidInputError: The file cannot be read, or is not UTF-8 text.
    """
    try:
        if file == "-":
            return sys.stdin.buffer.read().decode("utf-8"), "stdin"
        return Path(file).read_text(encoding="utf-8"), file
    except UnicodeDecodeError as error:
        problem, fix = "is not UTF-8 text", "give a FederatedJob as YAML or JSON"
        raise InvalidInputError([Fault(file, problem, fix)]) from error
    except OSError as error:
        problem = f"cannot be read: {error.strerror or error}"
        raise InvalidInputError([Fault(file, problem, "give the path of a job file")]) from error


def local_files(
    file: str, shards: Path | None, model_file: Path | None, checkpoint: Path | None
) -> LocalFiles:
    """Files on this machine in place of those that the job names."""
    base = Path() if file == "-" else Path(file).parent
    return LocalFiles(base, shards, model_file, checkpoint)
