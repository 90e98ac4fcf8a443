"""A model and shards, and no engine named in the environment."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from support.sdk.models import write_model, write_shards


@pytest.fixture(autouse=True)
def no_engine(monkeypatch, tmp_path):
    monkeypatch.delenv("FEDJOB_ENGINE", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "no-kubeconfig"))


@pytest.fixture
def model(tmp_path, monkeypatch):
    path = write_model(tmp_path / "code")
    spec = importlib.util.spec_from_file_location("compat_model_def", path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.syspath_prepend(path.parent)
    monkeypatch.setitem(sys.modules, "compat_model_def", module)
    spec.loader.exec_module(module)
    monkeypatch.delitem(sys.modules, "scaling")
    return module.Net


@pytest.fixture
def shards(tmp_path):
    return write_shards(tmp_path / "shards")
