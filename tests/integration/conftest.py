"""Real federations, torn down whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from federation import Federation
from fedjob.engines.embedded_store import EmbeddedStore


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
