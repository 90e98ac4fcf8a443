"""The supervisor reads what the job process hands over as hostile input."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from fedjob.reasons import Reason
from fedjob_runtime.server.ipc import Control, SegmentReport
from fedjob_runtime.server.supervisor import handover as module
from fedjob_runtime.server.supervisor.handover import (
    DiskFullError,
    HandoverInvalidError,
    SupervisorHandover,
)
from support.handover import handover_in

ROUND: dict[str, Any] = {
    "sha256": "ab",
    "participants": [{"name": "worker-0", "samples": 2}],
    "failures": [],
    "metrics": {"loss": 0.5},
    "times": {},
    "started": "2027-01-15T08:00:00Z",
    "ended": "2027-01-15T08:00:01Z",
}
CLIENTS: dict[str, Any] = {
    "clients": {"worker-0": {"incarnation": "a", "last_heartbeat": 5.0}},
    "cells": ["worker-0"],
    "jobs": [],
    "ended": [],
}


@pytest.fixture
def handover(tmp_path: Path) -> SupervisorHandover:
    (tmp_path / "secret").write_text('{"segment": 7}')
    return handover_in(tmp_path, rounds=9)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def offer(handover: SupervisorHandover, number: int, model: bytes = b"model") -> Path:
    file = handover.model_file(number)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(model)
    return file


# What honest job processes hand over.


def test_reports_are_read(handover: SupervisorHandover) -> None:
    assert handover.read_report(7) is None
    failed = {"worker-1": {"reason": "x" * 99, "message": "m" * 9000}}
    handover.report(SegmentReport(7, "training", 3, answered={"worker-0": 5}, failed=failed))
    found = handover.read_report(7)
    assert found is not None
    assert (found.round, found.answered) == (3, {"worker-0": 5})
    # A worker chooses both: they are cut, and cost the others nothing.
    assert [len(text) for text in found.failed["worker-1"].values()] == [64, 4000]
    assert handover.read_report(8) is None, "of another segment"
    assert handover.read_clients() is None
    (handover.reports / "clients.json").write_text(json.dumps({"pid": 1, **CLIENTS}))
    assert handover.read_clients() == CLIENTS


def test_offered_round_is_copied_with_its_checksum(handover: SupervisorHandover) -> None:
    assert handover.offered_round(2) is None
    file = offer(handover, 2)
    handover.offer_round(2, ROUND)
    found = handover.offered_round(2)
    assert found is not None
    assert (found.participants[0].samples, found.metrics) == (2, {"loss": 0.5})
    copy = handover.take_model(2, sha256(b"model"))
    assert copy == handover.start_model(2)
    file.write_bytes(b"changed afterwards")
    assert copy.read_bytes() == b"model"
    assert handover.take_torch_file(2) is None
    handover.torch_file(2).write_bytes(b"torch")
    taken = handover.take_torch_file(2)
    assert taken is not None
    assert taken.read_bytes() == b"torch"
    assert taken == handover.own_torch_file(2)


def test_own_copies_are_kept_for_two_rounds(handover: SupervisorHandover) -> None:
    for number in range(4):
        offer(handover, number)
        handover.take_model(number, sha256(b"model"))
        handover.forget_models(number - 1)
    kept = sorted(folder.name for folder in (handover.orders / "rounds").iterdir())
    assert kept == ["2", "3"]
    handover.clear_orders()
    assert not (handover.orders / "rounds").exists()


def test_control_is_readable_by_other_users(handover: SupervisorHandover) -> None:
    handover.write_control(Control(7, committed=2))
    assert (handover.orders / "control.json").stat().st_mode & 0o044 == 0o044


# Files that are not what they should be. `place` puts something at a path.


def link(path: Path, secret: Path) -> None:
    path.symlink_to(secret)


def fifo(path: Path, secret: Path) -> None:
    os.mkfifo(path)


def folder(path: Path, secret: Path) -> None:
    path.mkdir()


def device(path: Path, secret: Path) -> None:
    path.symlink_to("/dev/zero")


def sock(path: Path, secret: Path) -> None:
    import socket

    here = os.open(path.parent, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(f"/proc/self/fd/{here}/{path.name}")
    os.close(here)


@pytest.mark.parametrize("place", [link, fifo, folder, device, sock])
def test_only_regular_files_are_read_and_nothing_is_waited_for(
    handover: SupervisorHandover, tmp_path: Path, place: Any
) -> None:
    secret = tmp_path / "secret"
    place(handover.reports / "segment.json", secret)
    place(handover.reports / "clients.json", secret)
    handover.model_file(2).parent.mkdir(parents=True)
    place(handover.model_file(2), secret)
    place(handover.model_file(2).with_name("round.json"), secret)
    for read in (
        lambda: handover.read_report(7),
        handover.read_clients,
        lambda: handover.offered_round(2),
        lambda: handover.take_model(2, sha256(secret.read_bytes())),
    ):
        with pytest.raises(HandoverInvalidError, match="which the server's job process handed"):
            read()
    assert not handover.start_model(2).exists()


@pytest.mark.parametrize("part", ["rounds", "rounds/2"])
def test_no_folder_on_the_way_may_be_a_link(
    handover: SupervisorHandover, tmp_path: Path, part: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "2").mkdir(parents=True)
    for each in (elsewhere, elsewhere / "2"):
        (each / "model.safetensors").write_bytes(b"secret")
    path = handover.reports / part
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(elsewhere)
    with pytest.raises(HandoverInvalidError, match="cannot be opened: Not a directory"):
        handover.take_model(2, sha256(b"secret"))


def test_supervisor_writes_through_no_link(handover: SupervisorHandover, tmp_path: Path) -> None:
    """The folder of orders is the supervisor's, and a copy replaces whatever has its name."""
    target = tmp_path / "target"
    target.write_bytes(b"of the supervisor")
    handover.start_model(2).parent.mkdir(parents=True)
    handover.start_model(2).symlink_to(target)
    offer(handover, 2)
    handover.take_model(2, sha256(b"model"))
    assert target.read_bytes() == b"of the supervisor"
    assert not handover.start_model(2).is_symlink()


# Sizes.


def test_sizes_are_bounded(handover: SupervisorHandover, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_JSON", 1000)
    monkeypatch.setattr(module, "MOST_MODEL", 1000)
    monkeypatch.setattr(module, "SPARE", 100)
    (handover.reports / "segment.json").write_bytes(b" " * 1001)
    with pytest.raises(HandoverInvalidError, match=r"segment\.json, .* has more than 1000 bytes"):
        handover.read_report(7)
    offer(handover, 0, b"m" * 1001)
    with pytest.raises(HandoverInvalidError, match="has more than 1000 bytes"):
        handover.take_model(0, "")
    # The size of the model is known once it has been committed.
    offer(handover, 1, b"m" * 10)
    handover.take_model(1, sha256(b"m" * 10))
    offer(handover, 2, b"m" * 121)
    with pytest.raises(HandoverInvalidError, match="has more than 120 bytes"):
        handover.take_model(2, sha256(b"m" * 121))
    handover.torch_file(1).write_bytes(b"m" * 121)
    with pytest.raises(HandoverInvalidError, match="has more than 120 bytes"):
        handover.take_torch_file(1)
    assert not handover.own_torch_file(1).exists()


def test_file_that_grows_while_it_is_read_is_cut_off(
    handover: SupervisorHandover, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_MODEL", 1000)
    monkeypatch.setattr(module, "_CHUNK", 100)
    file = offer(handover, 0, b"m" * 500)
    read = os.read

    def growing(descriptor: int, size: int) -> bytes:
        with file.open("ab") as more:
            more.write(b"m" * 200)
        return read(descriptor, size)

    monkeypatch.setattr(module.os, "read", growing)
    with pytest.raises(HandoverInvalidError, match="has more than 1000 bytes"):
        handover.take_model(0, "")
    assert list((handover.orders / "rounds/0").iterdir()) == [], "nothing half-written stays"


def test_sparse_file_of_any_size_is_refused_before_it_is_read(
    handover: SupervisorHandover,
) -> None:
    with offer(handover, 0).open("r+b") as file:
        file.truncate(module.MOST_MODEL + 1)
    with pytest.raises(HandoverInvalidError, match="has more than"):
        handover.take_model(0, "")


def test_wrong_checksum_is_refused(handover: SupervisorHandover) -> None:
    offer(handover, 2)
    with pytest.raises(HandoverInvalidError, match="has another SHA-256") as caught:
        handover.take_model(2, sha256(b"other"))
    assert caught.value.reason is Reason.HANDOVER_INVALID
    with pytest.raises(HandoverInvalidError, match="is missing"):
        handover.take_model(3, sha256(b"model"))


def test_full_disk_is_not_the_job_process_s_fault(
    handover: SupervisorHandover, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(handover, 2)

    def full(*_: object) -> object:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "replacing", full)
    with pytest.raises(DiskFullError, match="disk is full"):
        handover.take_model(2, sha256(b"model"))


# Content.


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"no JSON",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"segment": ' + b"9" * 10_000 + b"}",
        b'{"segment": 7, "round": NaN}',
        b'{"segment": 7, "round": -1}',
        b'{"segment": 7, "round": 10}',
        b'{"segment": 7, "round": "many"}',
        b'{"segment": 7, "answered": {"root": 1}}',
        b'{"segment": 7, "answered": ["worker-0"]}',
        b'{"segment": 7, "failed": {"worker-0": {"reason": "x"}}}',
        b'{"segment": 7, "failed": {"worker-0": "x"}}',
        b'{"segment": 7, "outcome": "won"}',
        b'{"segment": 7, "outcome": "error"}',
        b'{"segment": 7, "error": {"reason": "not one", "message": ""}}',
    ],
    ids=lambda text: repr(text[:40]),
)
def test_report_that_fedjob_did_not_write_is_refused(
    handover: SupervisorHandover, text: bytes
) -> None:
    (handover.reports / "segment.json").write_bytes(text)
    with pytest.raises(HandoverInvalidError, match=r"segment\.json, which the server's"):
        handover.read_report(7)


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": 7},
        {"participants": [{"name": "worker-0"}]},
        {"participants": "all"},
        {"metrics": {"loss": "1e999"}},
        {"times": {"train": -1}},
        {"unknown": 1},
    ],
)
def test_round_that_fedjob_did_not_write_is_refused(
    handover: SupervisorHandover, change: dict[str, Any]
) -> None:
    handover.model_file(2).parent.mkdir(parents=True)
    handover.offer_round(2, {**ROUND, **change})
    with pytest.raises(HandoverInvalidError, match=r"rounds/2/round\.json"):
        handover.offered_round(2)


@pytest.mark.parametrize(
    "change",
    [
        {"clients": []},
        {"clients": {"worker-0": {"incarnation": "a"}}},
        {"cells": [{}]},
        {"jobs": "job"},
        {"ended": None},
        {"clients": {"worker-0": {"incarnation": "a", "last_heartbeat": 1e999}}},
    ],
)
def test_clients_that_fedjob_did_not_write_are_refused(
    handover: SupervisorHandover, change: dict[str, Any]
) -> None:
    text = json.dumps({**CLIENTS, **change}).replace("Infinity", "1e999")
    (handover.reports / "clients.json").write_text(text)
    with pytest.raises(HandoverInvalidError, match=r"clients\.json"):
        handover.read_clients()
