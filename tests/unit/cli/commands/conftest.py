"""A job file with two shards beside it, as a person has them before the first command."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from fedjob.cli.app import app

MODEL = """
import absent_package
import torch.nn as nn


class Net(nn.Module):
    pass


def fl_train(model, env, out_dir):
    return {"weights": model.state_dict(), "samples": 1}
"""

Invoke = Callable[..., Result]
"""Runs `fedjob` with these arguments in this process."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """job.yaml, of a model that imports a package that is not installed."""
    (tmp_path / "shards").mkdir()
    for name in ("b.zip", "a.zip"):
        with zipfile.ZipFile(tmp_path / "shards" / name, "w") as archive:
            archive.writestr("train.csv", "1,2")
    job: dict[str, Any] = {
        "apiVersion": "fedjob.dev/v1alpha1",
        "kind": "FederatedJob",
        "metadata": {"name": "digits"},
        "spec": {"model": {"className": "Net", "source": {"inline": MODEL}}},
    }
    path = tmp_path / "job.yaml"
    path.write_text(json.dumps(job))
    return path


@pytest.fixture
def fedjob() -> Invoke:
    """The command line; an error that it shows a person is in the result's `exception`."""

    def invoke(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return invoke
