"""An NVFlare workspace on disk."""

from __future__ import annotations

import json
from pathlib import Path

from fedjob_runtime.nvflare_site.site_folder import edit_startup, prepare_site


def test_kit_of_a_mounted_secret_is_copied_without_its_links(tmp_path: Path) -> None:
    kit = tmp_path / "kit"
    (kit / "..2027").mkdir(parents=True)
    (kit / "..2027/client.key").write_text("key")
    (kit / "..data").symlink_to("..2027")
    (kit / "client.key").symlink_to("..data/client.key")
    site = tmp_path / "site"
    for _ in range(2):
        prepare_site(kit, site, {"format_version": 2}, {"grpc": {}})
    assert [path.name for path in (site / "startup").iterdir()] == ["client.key"]
    assert (site / "startup/client.key").stat().st_mode & 0o777 == 0o600
    assert json.loads((site / "local/comm_config.json").read_text()) == {"grpc": {}}
    assert json.loads((site / "local/resources.json").read_text()) == {"format_version": 2}


def test_startup_file_is_edited_at_its_place(tmp_path: Path) -> None:
    (tmp_path / "startup").mkdir()
    file = tmp_path / "startup/fed_server.json"
    file.write_text(json.dumps({"servers": [{"name": "s", "service": {"target": "old"}}]}))
    edit_startup(tmp_path, "fed_server.json", {"service": {"target": "new"}}, "servers", 0)
    assert json.loads(file.read_text())["servers"] == [{"name": "s", "service": {"target": "new"}}]
