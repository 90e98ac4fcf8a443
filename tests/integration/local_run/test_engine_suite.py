"""The engine suite on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

import fedjob
from support.sdk.engine_suite import EngineSuite

# One process for all: the suite's runs are made once a process.
pytestmark = [pytest.mark.federation, pytest.mark.xdist_group("engine")]


class TestLocalEngine(EngineSuite):
    """One folder of runs."""

    @pytest.fixture(scope="class")
    @classmethod
    def client(cls, folder: Path) -> fedjob.LocalClient:
        return fedjob.LocalClient(folder / "runs")
