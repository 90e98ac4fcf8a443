"""Which of the author's classes NVFlare has to allow."""

from __future__ import annotations

import json
from pathlib import Path

from fedjob_runtime.nvflare_site.site_folder import OWN_CLASSES, allowed_classes
from fedjob_runtime.nvflare_site.user_classes import user_classes


def test_only_classes_of_files_in_custom_are_allowed(tmp_path: Path) -> None:
    (tmp_path / "app/custom").mkdir(parents=True)
    (tmp_path / "app/custom/model_def.py").touch()
    (tmp_path / "app/config").mkdir()
    client = {"executors": [{"executor": {"path": "fedjob_runtime.worker.executor.TrainExecutor"}}]}
    server = {"components": [{"path": "model_def.Median"}, {"path": "os.system"}, {"path": 7}]}
    for side, config in (("client", client), ("server", server)):
        (tmp_path / f"app/config/config_fed_{side}.json").write_text(json.dumps(config))
    assert user_classes(tmp_path) == ["model_def."]
    assert allowed_classes(["model_def."]) == [*OWN_CLASSES, "model_def."]
