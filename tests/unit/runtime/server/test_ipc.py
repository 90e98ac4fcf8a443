"""Files between the supervisor and the job process."""

from __future__ import annotations

from pathlib import Path

from fedjob_runtime.server.ipc import Control, Handover, SegmentReport


def test_control_is_read_back(tmp_path: Path) -> None:
    handover = Handover(tmp_path)
    assert handover.read_control() is None
    control = Control(7, committed=2, lost=("worker-1",), stop_after_round=True)
    handover.write_control(control)
    assert handover.read_control() == control


def test_report_of_another_segment_is_not_read(tmp_path: Path) -> None:
    handover = Handover(tmp_path)
    assert handover.read_report(7) is None
    handover.report(SegmentReport(7, "training", 3, answered={"worker-0": 5}))
    found = handover.read_report(7)
    assert found is not None
    assert (found.round, found.answered) == (3, {"worker-0": 5})
    assert found.time > 1_700_000_000
    assert handover.read_report(8) is None


def test_round_is_offered_with_its_record(tmp_path: Path) -> None:
    handover = Handover(tmp_path)
    handover.model_file(2).parent.mkdir(parents=True)
    assert handover.offered_round(2) is None
    handover.offer_round(2, {"sha256": "ab"})
    assert handover.offered_round(2) == {"sha256": "ab"}
    assert handover.round_folders() == [(2, tmp_path / "rounds/2")]
    assert handover.torch_file(2) == tmp_path / "rounds/2/GLOBAL_MODEL.pt"
