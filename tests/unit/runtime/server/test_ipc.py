"""Files between the supervisor and the job process, on the job process's side."""

from __future__ import annotations

import json
from pathlib import Path

from fedjob_runtime.server.ipc import Control, Handover, SegmentReport
from support.handover import handover_in


def test_control_is_read_back(tmp_path: Path) -> None:
    handover = handover_in(tmp_path)
    assert handover.read_control() is None
    control = Control(7, committed=2, lost=("worker-1",), stop_after_round=True)
    handover.write_control(control)
    assert Handover(tmp_path).read_control() == control
    assert (tmp_path / "orders/control.json").is_file()


def test_report_and_round_go_to_the_folder_of_reports(tmp_path: Path) -> None:
    handover_in(tmp_path)
    handover = Handover(tmp_path)
    handover.model_file(2).parent.mkdir(parents=True)
    handover.report(SegmentReport(7, "training", 3, answered={"worker-0": 5}))
    handover.offer_round(2, {"sha256": "ab"})
    report = json.loads((tmp_path / "reports/segment.json").read_text())
    assert (report["round"], report["answered"]) == (3, {"worker-0": 5})
    assert report["time"] > 1_700_000_000
    assert json.loads((tmp_path / "reports/rounds/2/round.json").read_text()) == {"sha256": "ab"}
    assert (tmp_path / "reports/rounds/2/round.json").stat().st_mode & 0o044 == 0o044
    assert handover.torch_file(2) == tmp_path / "reports/rounds/2/GLOBAL_MODEL.pt"
    assert list((tmp_path / "orders").iterdir()) == []


def test_inputs_are_found_in_the_folder_of_orders(tmp_path: Path) -> None:
    handover = handover_in(tmp_path)
    assert handover.checkpoint() is None
    (tmp_path / "orders/checkpoint.pt").touch()
    assert handover.checkpoint() == tmp_path / "orders/checkpoint.pt"
    assert handover.validation() == tmp_path / "orders/validation"
    assert handover.start_model(4) == tmp_path / "orders/rounds/4/model.safetensors"


def rounds(handover: Handover) -> list[str]:
    return sorted(folder.name for folder in (handover.reports / "rounds").iterdir())


def test_files_of_other_rounds_are_dropped(tmp_path: Path) -> None:
    handover = handover_in(tmp_path)
    for number in range(6):
        handover.model_file(number).parent.mkdir(parents=True)
    (tmp_path / "reports/rounds/notes").mkdir()
    handover.drop_before(2)
    assert rounds(handover) == ["2", "3", "4", "5", "notes"]
    handover.drop_uncommitted(3)
    assert rounds(handover) == ["2", "3", "notes"]
    handover.report(SegmentReport(7))
    (tmp_path / "reports/agent.sock").touch()
    handover.clear_reports()
    assert [entry.name for entry in (tmp_path / "reports").iterdir()] == ["agent.sock"]


def test_offered_model_is_readable_by_the_supervisor_who_is_another_user(tmp_path: Path) -> None:
    handover = handover_in(tmp_path)
    handover.model_file(2).parent.mkdir(parents=True)
    made = (handover.model_file(2), handover.strategy_file(2), handover.torch_file(2))
    for file in made:
        file.touch(0o600)
    handover.offer_round(2, {})
    for file in made:
        assert file.stat().st_mode & 0o777 == 0o644
