"""What a server start brings from the store, and what it drops."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from fedjob.protocol.commit import Commit
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


def test_the_federations_user_can_read_what_was_downloaded(tmp_path: Path) -> None:
    """Downloads are private, and in a pod NVFlare's processes have another uid."""

    class Private(FakeLog):
        def fetch_model(self, number: int, target: Path) -> Commit:
            commit = super().fetch_model(number, target)
            target.chmod(0o600)
            return commit

        def fetch_strategy(self, commit: Commit, target: Path) -> None:
            super().fetch_strategy(commit, target)
            target.chmod(0o600)

    class Bucket:
        def download_file(self, key: str, target: Path) -> None:
            target.write_bytes(b"weights")
            target.chmod(0o600)

    log = Private()
    for number in range(3):
        log.put(number, strategy={"file": "strategy-0.safetensors", "sha256": "0", "size": 1})
    run = SupervisedRun(tmp_path, rounds=4, log=log)
    config = run.supervisor._config.model_copy(update={"checkpoint": "model/checkpoint.pt"})
    handover = handover_in(tmp_path)
    restore(config, cast(Any, Bucket()), cast(RoundLog, log), handover)
    files = [handover.start_model(2), handover.start_strategy(2), handover.checkpoint()]
    for file in files:
        assert file is not None
        assert file.stat().st_mode & 0o777 == 0o644, file


@pytest.mark.parametrize(("last", "model"), [(2, True), (4, False)])
def test_model_is_fetched_where_rounds_are_left(tmp_path: Path, last: int, model: bool) -> None:
    log = FakeLog()
    for number in range(last + 1):
        log.put(number)
    found = restored(tmp_path, log)
    assert found.last == last
    assert [commit.round for commit in found.history] == list(range(1, last + 1))
    assert handover_in(tmp_path).start_model(last).exists() is model
