"""Files of a round are kept whole or not at all, and never beyond the limit."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from fedjob.protocol.config import KeptFiles
from fedjob.reasons import Reason
from fedjob_runtime.worker import kept_files as module
from fedjob_runtime.worker.kept_files import keep_files, kept_files_from


@pytest.fixture
def out_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "round_0"
    (folder / "plots").mkdir(parents=True)
    (folder / "log.csv").write_bytes(b"loss")
    (folder / "plots" / "a.png").write_bytes(bytes(96))
    return folder


def test_files_are_copied_on_one_machine(out_dir: Path, tmp_path: Path) -> None:
    keep = KeptFiles(max_bytes=100, folder=str(tmp_path / "files"))
    assert keep_files(keep, out_dir, 1) is None
    kept = tmp_path / "files" / "round-1"
    assert (kept / "log.csv").read_bytes() == b"loss"
    assert (kept / "plots" / "a.png").stat().st_size == 96
    (out_dir / "log.csv").unlink()
    assert keep_files(keep, out_dir, 1) is None
    assert not (kept / "log.csv").exists(), "a round that is trained again replaces its files"
    assert [path.name for path in (tmp_path / "files").iterdir()] == ["round-1"]


def test_files_are_sent_as_one_zip(
    out_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: dict[str, bytes] = {}

    def post(form: Path, data: bytes, timeout: float) -> bool:
        sent[str(form)] = data
        return timeout > 0

    monkeypatch.setattr(module, "post_form", post)
    assert keep_files(KeptFiles(max_bytes=100, forms=str(tmp_path)), out_dir, 7) is None
    ((form, data),) = sent.items()
    assert form == str(tmp_path / "files-7.json")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert sorted(archive.namelist()) == ["log.csv", "plots/a.png"]
        assert archive.read("log.csv") == b"loss"


def test_a_round_above_the_limit_is_not_kept(out_dir: Path, tmp_path: Path) -> None:
    note = keep_files(KeptFiles(max_bytes=99, folder=str(tmp_path / "files")), out_dir, 3)
    assert note is not None
    assert note.reason is Reason.FILES_NOT_KEPT
    assert "round 3 has 100 bytes, spec.workers.keepFiles.maxBytes is 99" in note.message
    assert not (tmp_path / "files").exists()


def test_links_are_not_followed(out_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(1000))
    (out_dir / "link").symlink_to(tmp_path / "secret")
    assert keep_files(KeptFiles(max_bytes=100, folder=str(tmp_path / "files")), out_dir, 1) is None
    assert not (tmp_path / "files" / "round-1" / "link").exists()


def test_a_store_that_refuses_costs_the_files_alone(out_dir: Path, tmp_path: Path) -> None:
    note = keep_files(KeptFiles(max_bytes=100, forms=str(tmp_path)), out_dir, 1)
    assert note is not None
    assert note.reason is Reason.FILES_NOT_KEPT
    assert "files-1.json" in note.message


def test_an_empty_folder_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    keep = KeptFiles(max_bytes=1, folder=str(tmp_path / "files"))
    assert keep_files(keep, tmp_path / "empty", 1) is None
    assert not (tmp_path / "files").exists()


def test_settings_come_as_text() -> None:
    keep = KeptFiles(max_bytes=5, forms="/etc/x")
    assert kept_files_from(keep.model_dump_json()) == keep
    assert kept_files_from(None) is None
    assert kept_files_from("") is None
