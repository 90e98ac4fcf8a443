"""An error of a component's constructor ends its segment with a report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fedjob.reasons import Reason
from fedjob_runtime.server.ipc import Control
from fedjob_runtime.server.job_process.main import report_component, segment_of
from support.handover import handover_in


@pytest.fixture
def app_root(tmp_path: Path) -> Path:
    config = tmp_path / "app/config"
    config.mkdir(parents=True)
    workflow = {"workflows": [{"args": {"segment": 7}}]}
    (config / "config_fed_server.json").write_text(json.dumps(workflow))
    return config.parent


def test_segment_is_read_from_the_job_folder(app_root: Path) -> None:
    assert segment_of(app_root) == 7


@pytest.mark.parametrize(
    ("error", "outcome", "reason"),
    [
        (TypeError("unexpected argument"), "error", Reason.COMPONENT_INVALID),
        (ConnectionResetError(), "broken", Reason.FEDERATION_FAILED),
    ],
)
def test_error_is_reported_as_the_segments_end(
    app_root: Path, tmp_path: Path, error: Exception, outcome: str, reason: Reason
) -> None:
    handover = handover_in(tmp_path)
    handover.write_control(Control(7))
    report_component(error, app_root, handover, tmp_path)
    report = handover.read_report(7)
    assert report is not None
    assert (report.phase, report.outcome, report.error["reason"]) == ("ended", outcome, reason)
    assert "the server's job process failed before its first round" in report.error["message"]


def test_superseded_segment_reports_nothing(app_root: Path, tmp_path: Path) -> None:
    handover = handover_in(tmp_path)
    handover.write_control(Control(8))
    report_component(TypeError(), app_root, handover, tmp_path)
    assert handover.read_report(7) is None
