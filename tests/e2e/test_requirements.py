"""Packages of `model.requirements`: builder `docker`, and pods that import them."""

from __future__ import annotations

import pytest

from e2e.recorder import RECORDER, give_shards, recorder, records
from e2e.stage import Stage, is_complete

pytestmark = pytest.mark.e2e

PACKAGE = "humanize==4.12.3"
IMPORTS = RECORDER.replace("import json\n", "import json\nimport humanize\n", 1).replace(
    '"env": env,', '"env": {**env, "humanize": humanize.__version__},', 1
)


def test_the_pods_have_the_packages_and_an_unchanged_job_does_not_build(stage: Stage) -> None:
    sections = recorder(1)
    sections["model"] = {
        "className": "Net",
        "source": {"inline": IMPORTS},
        "requirements": [PACKAGE],
    }
    name = "packages"
    give_shards(stage, name, 4)
    for hit in (False, True):
        stage.submit(name, **sections)
        status = stage.until(name, is_complete)
        assert status["image"]["cacheHit"] is hit
        [record] = records(stage, name, 0)
        assert record["env"]["humanize"] == PACKAGE.partition("==")[2]
        # The digest, not the tag, is what the pods run.
        [image] = {
            pod["spec"]["containers"][0]["image"]
            for pod in stage.get("pods", "-l", f"fedjob.dev/job={name}")["items"]
        }
        assert image == status["image"]["reference"]
        assert image.endswith(f"@{status['image']['digest']}")
        stage.delete(name)
