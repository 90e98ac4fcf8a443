"""The model file together with the modules that are shipped beside it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from fedjob.errors import Fault
from fedjob.workspace.files.rules import module_of
from fedjob.workspace.source.imports import missing_modules
from fedjob.workspace.source.local_modules import reached_modules
from fedjob.workspace.source.model_file import (
    InvalidSourceError,
    SourceInfo,
    check_source,
    parse_source,
    undefined_faults,
)


def check_model(
    text: str,
    files: Mapping[str, bytes],
    *,
    class_name: str | None,
    train_function: str | None = None,
    filename: str = "model_def.py",
    requirements: Collection[str] = (),
) -> SourceInfo:
    """Checks a model file, and every shipped module that it certainly imports.

    Args:
        text: The model file.
        files: What is shipped beside it, by relative path.
        class_name: `model.className`; None: the job has no model, only a training function.
        train_function: `model.trainFunction`.
        filename: What messages call the model file.
        requirements: As pip takes them.

    Raises:
        InvalidSourceError: Every fault of all of them.
    """
    tops = {path.partition("/")[0] for path in files if path.endswith(".py") and "/" in path}
    shipped = tops | {module_of(path) for path in files}
    faults: list[Fault] = []
    info: SourceInfo | None = None
    try:
        info = check_source(
            text, class_name, train_function, filename, requirements, shipped=shipped
        )
    except InvalidSourceError as error:
        faults += error.faults
        info = error.info
    missing = set(info.missing_modules if info is not None else ())
    for path, content in sorted(reached_modules(text, files).items()):
        if not content.strip():
            continue  # an empty __init__.py
        try:
            tree = parse_source(content, path)
        except InvalidSourceError as error:
            faults += error.faults
            continue
        faults += undefined_faults(tree, path)
        missing |= set(missing_modules(tree, requirements, shipped))
    if info is not None:
        info = replace(info, missing_modules=tuple(sorted(missing)))
    if faults or info is None:
        raise InvalidSourceError(faults, info)
    return info
