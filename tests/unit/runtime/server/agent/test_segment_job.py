"""The NVFlare job of a segment."""

from __future__ import annotations

import json
from pathlib import Path

from fedjob_runtime.server.agent.segment_job import write_segment


def test_segment_is_the_job_with_its_own_settings_and_without_code(tmp_path: Path) -> None:
    job = tmp_path / "job"
    (job / "app/config").mkdir(parents=True)
    (job / "app/custom").mkdir()
    (job / "meta.json").write_text('{"name": "digits"}')
    (job / "app/config/config_fed_client.json").write_text('{"executors": []}')
    server = {"workflows": [{"args": {"num_rounds": 3}}]}
    (job / "app/config/config_fed_server.json").write_text(json.dumps(server))
    clients = ["worker-0", "worker-1"]
    folder = write_segment(job, tmp_path / "segments", segment=7, start_round=2, clients=clients)
    assert folder == tmp_path / "segments/segment-7"
    assert json.loads((folder / "meta.json").read_text()) == {
        "name": "digits",
        "deploy_map": {"app": ["server", *clients]},
        "min_clients": 1,
        "mandatory_clients": [],
    }
    written = json.loads((folder / "app/config/config_fed_server.json").read_text())
    assert written["workflows"][0]["args"] == {
        "num_rounds": 3,
        "segment": 7,
        "start_round": 2,
        "clients": clients,
    }
    assert not (folder / "app/custom").exists()
