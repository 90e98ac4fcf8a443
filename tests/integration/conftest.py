"""Real federations, torn down whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fedjob.engines.local.store.embedded_store import EmbeddedStore
from support.federation import Federation


def pytest_itemcollected(item: pytest.Item) -> None:
    """Keeps the tests of a file in one process, so that its fixtures are made once.

    Federations may go to any (`make integration`): they are long, and wait more than they compute.
    """
    if item.get_closest_marker("federation") is None:
        item.add_marker(pytest.mark.xdist_group(item.path.stem))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Federations first: the short tests then fill the gaps at the end."""
    items.sort(key=lambda item: item.get_closest_marker("federation") is None)


@pytest.fixture
def federation(tmp_path: Path, store: EmbeddedStore) -> Iterator[Callable[..., Federation]]:
    """Makes federations of one job each, see `Federation`; nothing is started yet."""
    made: list[Federation] = []

    def make(*args: Any, **kwargs: Any) -> Federation:
        made.append(Federation(tmp_path / f"f{len(made)}-{tmp_path.name}", store, *args, **kwargs))
        return made[-1]

    yield make
    for each in made:
        each.close()
