"""Fixtures that connect tests to the project's cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from e2e.cluster_access.kube import Kube, NoClusterError
from e2e.cluster_access.operator_deployment import OperatorDeployment


def no_cluster(why: str) -> NoReturn:
    """Ends a test that needs the cluster: fails it in CI, skips it elsewhere."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI has a cluster, but {why}", pytrace=False)
    pytest.skip(why)


NODES = {"test_chart", "test_docker_builder", "test_gpu"}
"""Files that change nodes or take GPUs: they must not run in parallel."""


def pytest_itemcollected(item: pytest.Item) -> None:
    """Makes `-n 3 --dist loadgroup` run files in parallel, but not the tests of one file.

    Done per item, since xdist may read the groups before pytest_collection_modifyitems.
    """
    if item.path.is_relative_to(Path(__file__).parent):
        group = "nodes" if item.path.stem in NODES else item.path.stem
        item.add_marker(pytest.mark.xdist_group(group))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Starts the longest group first, so that the others run beside it."""
    items.sort(key=lambda item: item.path.stem not in NODES)


@pytest.fixture(scope="session")
def kube() -> Kube:
    """kubectl for the cluster that `make cluster` started."""
    try:
        return Kube.find()
    except NoClusterError as error:
        no_cluster(str(error))


@pytest.fixture(scope="session")
def deployment(
    kube: Kube, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorDeployment]:
    """An operator with its own store and namespaces, shared by all tests of a process."""
    with OperatorDeployment.running(tmp_path_factory.mktemp("operator")) as running:
        yield running
