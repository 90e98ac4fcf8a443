"""The project's cluster, for every test that asks for it."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

from e2e.kube import Kube, NoClusterError


def no_cluster(why: str) -> NoReturn:
    """Ends a test that needs the cluster: a failure in CI, elsewhere a skip that says why."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI has a cluster, but {why}", pytrace=False)
    pytest.skip(why)


@pytest.fixture(scope="session")
def kube() -> Kube:
    """kubectl against the cluster that `make cluster` started."""
    try:
        return Kube.find()
    except NoClusterError as error:
        no_cluster(str(error))
