"""The project's cluster, for every test that asks for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from e2e.kube import Kube, NoClusterError
from e2e.stage import Stage


def no_cluster(why: str) -> NoReturn:
    """Ends a test that needs the cluster: a failure in CI, elsewhere a skip that says why."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI has a cluster, but {why}", pytrace=False)
    pytest.skip(why)


NODES = {"test_chart", "test_docker_builder", "test_gpu"}
"""Files that change the nodes, or whose jobs take GPUs where there are: one after the other."""


def pytest_itemcollected(item: pytest.Item) -> None:
    """Side by side (`-n 3 --dist loadgroup`) run files, not the tests of one file.

    Marked here and not when all are collected: xdist may have read the groups before.
    """
    if item.path.parent == Path(__file__).parent:
        group = "nodes" if item.path.stem in NODES else item.path.stem
        item.add_marker(pytest.mark.xdist_group(group))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long group first, so that the others fill the time beside it."""
    items.sort(key=lambda item: item.path.stem not in NODES)


@pytest.fixture(scope="session")
def kube() -> Kube:
    """kubectl against the cluster that `make cluster` started."""
    try:
        return Kube.find()
    except NoClusterError as error:
        no_cluster(str(error))


@pytest.fixture(scope="session")
def stage(kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """An operator with a store and namespaces of its own, one for all tests of a process."""
    with Stage.running(tmp_path_factory.mktemp("operator")) as made:
        yield made
