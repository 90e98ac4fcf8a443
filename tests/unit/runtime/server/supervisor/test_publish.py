"""The final model is published from the committed bytes, in both forms, with the report."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from fedjob.protocol.history import History, round_lines
from fedjob.storage.rounds import RoundLog
from fedjob_runtime.server.orders import ParentError
from fedjob_runtime.server.supervisor.publish import publish
from support.handover import handover_in
from support.supervised_run import FakeLog, SupervisedRun


class Exporter:
    """The agent; `content` is what it writes."""

    def __init__(self, folder: Path, content: bytes | None = b"exported") -> None:
        self._handover, self._content = handover_in(folder), content
        self.models: list[bytes] = []

    def export(self, number: int) -> None:
        self.models.append(self._handover.start_model(number).read_bytes())
        if self._content is not None:
            target = self._handover.torch_file(number)
            target.parent.mkdir(parents=True)
            target.write_bytes(self._content)


def published(folder: Path, log: FakeLog, exporter: Exporter) -> dict[str, bytes]:
    run = SupervisedRun(folder, rounds=1, log=log)
    config = run.supervisor._config
    found = publish(config, cast(RoundLog, log), handover_in(folder, rounds=1), exporter, 1)
    assert found.sha256 == log.kept[1].sha256
    return log.published


@pytest.fixture
def log() -> FakeLog:
    made = FakeLog()
    made.put(0)
    made.put(1)
    return made


def test_torch_file_that_was_taken_with_the_model_is_used(tmp_path: Path, log: FakeLog) -> None:
    own = handover_in(tmp_path).own_torch_file(1)
    own.parent.mkdir(parents=True)
    own.write_bytes(b"torch file")
    exporter = Exporter(tmp_path)
    files = published(tmp_path, log, exporter)
    assert list(files) == ["GLOBAL_MODEL.pt", "report.html", "history.json", "model.safetensors"]
    assert files["GLOBAL_MODEL.pt"] == b"torch file"
    assert b"<html" in files["report.html"]
    assert exporter.models == []


def test_without_one_the_agent_makes_it_of_the_committed_model(
    tmp_path: Path, log: FakeLog
) -> None:
    exporter = Exporter(tmp_path)
    assert published(tmp_path, log, exporter)["GLOBAL_MODEL.pt"] == b"exported"
    assert exporter.models == [b"model of round 1"]


def test_agent_that_makes_none_is_tried_again_by_the_next_start(
    tmp_path: Path, log: FakeLog
) -> None:
    with pytest.raises(ParentError, match=r"GLOBAL_MODEL\.pt was not written; see the server's"):
        published(tmp_path, log, Exporter(tmp_path, None))
    assert log.published == {}


def test_every_round_is_in_the_history(tmp_path: Path, log: FakeLog) -> None:
    files = published(tmp_path, log, Exporter(tmp_path))
    history = History.model_validate_json(files["history.json"])
    assert history.rounds == round_lines(log.kept.values())
    assert [line.round for line in history.rounds] == [1]
