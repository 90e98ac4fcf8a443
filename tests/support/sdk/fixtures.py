"""A model, two shards and a finished run, for every test of the SDK."""

from __future__ import annotations

import importlib.util
import sys

import pytest

import fedjob
from support.sdk.finished_run import finish
from support.sdk.models import write_model, write_shards


@pytest.fixture
def model(tmp_path, monkeypatch):
    """The class `Net` of a module with a module beside it."""
    path = write_model(tmp_path / "code")
    monkeypatch.syspath_prepend(path.parent)
    spec = importlib.util.spec_from_file_location("sdk_model_def", path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "sdk_model_def", module)
    spec.loader.exec_module(module)
    monkeypatch.delitem(sys.modules, "scaling")
    return module.Net


@pytest.fixture
def shards(tmp_path):
    return write_shards(tmp_path / "shards")


@pytest.fixture
def job(model):
    return fedjob.from_model(model, name="digits", training={"num_classes": 2})


@pytest.fixture
def out(tmp_path):
    return tmp_path / "fedjob-out"


@pytest.fixture
def finished(job, shards, out):
    """The folder of a complete run of the job."""
    return finish(job.prepared(shards), out / "digits")
