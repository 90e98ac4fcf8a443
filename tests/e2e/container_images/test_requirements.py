"""Packages of `model.requirements`: builder `docker` installs them, and the pods import them."""

from __future__ import annotations

import pytest

from e2e.cluster_access.operator_deployment import OperatorDeployment, is_complete
from e2e.cluster_access.recorder import RECORDER, recorder, records, upload_shards

pytestmark = pytest.mark.e2e

PACKAGE = "humanize==4.12.3"
IMPORTS = RECORDER.replace("import json\n", "import json\nimport humanize\n", 1).replace(
    '"env": env,', '"env": {**env, "humanize": humanize.__version__},', 1
)


def test_pods_have_the_packages_and_an_unchanged_job_is_not_rebuilt(
    deployment: OperatorDeployment,
) -> None:
    sections = recorder(1)
    sections["model"] = {
        "className": "Net",
        "source": {"inline": IMPORTS},
        "requirements": [PACKAGE],
    }
    name = "packages"
    upload_shards(deployment, name, 4)
    for hit in (False, True):
        deployment.submit(name, **sections)
        status = deployment.until(name, is_complete)
        assert status["image"]["cacheHit"] is hit
        [record] = records(deployment, name, 0)
        assert record["env"]["humanize"] == PACKAGE.partition("==")[2]
        # The pods run the image by digest, not by tag.
        # In the server's pod, the container that runs the author's code is the first.
        [image] = {
            [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]][0]["image"]
            for pod in deployment.get("pods", "-l", f"fedjob.dev/job={name}")["items"]
        }
        assert image == status["image"]["reference"]
        assert image.endswith(f"@{status['image']['digest']}")
        deployment.delete(name)
