"""What a server start brings from the store, and what it drops."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from fedjob.storage.rounds import RoundLog
from fedjob_runtime.server.supervisor.restore import restore
from support.handover import handover_in
from support.supervised_run import FakeLog, SupervisedRun


def restored(folder: Path, log: FakeLog) -> Any:
    run = SupervisedRun(folder, rounds=4, log=log)
    bucket: Any = None
    config = run.supervisor._config
    return restore(config, bucket, cast(RoundLog, log), handover_in(folder))


def test_files_that_were_not_committed_are_dropped(tmp_path: Path) -> None:
    handover = handover_in(tmp_path)
    handover.start_model(3).parent.mkdir(parents=True)
    handover.start_model(3).write_bytes(b"perhaps half")
    found = restored(tmp_path, FakeLog())
    assert (found.last, found.history) == (-1, [])
    assert list(handover.orders.iterdir()) == []


def test_what_the_strategy_kept_is_fetched_with_the_model(tmp_path: Path) -> None:
    log = FakeLog()
    for number in range(3):
        log.put(number, strategy={"file": "strategy-0.safetensors", "sha256": "0", "size": 1})
    restored(tmp_path, log)
    assert handover_in(tmp_path).start_strategy(2).read_bytes() == b"strategy 2"


@pytest.mark.parametrize(("last", "model"), [(2, True), (4, False)])
def test_model_is_fetched_where_rounds_are_left(tmp_path: Path, last: int, model: bool) -> None:
    log = FakeLog()
    for number in range(last + 1):
        log.put(number)
    found = restored(tmp_path, log)
    assert found.last == last
    assert [commit.round for commit in found.history] == list(range(1, last + 1))
    assert handover_in(tmp_path).start_model(last).exists() is model
