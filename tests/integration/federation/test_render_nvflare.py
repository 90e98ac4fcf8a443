"""NVFlare itself takes the rendered job folder, and changes no value in its configurations."""

import copy
import io
import json
import zipfile

import pytest
from nvflare.fuel.utils.json_scanner import JsonScanner
from nvflare.fuel.utils.wfconf import resolve_var_refs
from nvflare.private.fed.server.job_meta_validator import JobMetaValidator

from fedjob.spec.models.job import FederatedJob
from fedjob.workspace.render import render_job_folder
from fedjob.workspace.source.model_file import check_source

SOURCE = "import torch.nn as nn\n\n\nclass Net(nn.Module):\n    pass\n"


def rendered(**spec):
    model = {"className": "Net", "source": {"inline": SOURCE}}
    job = FederatedJob.model_validate(
        {"metadata": {"name": "digits"}, "spec": {"model": model, **spec}}
    )
    workers = ["worker-0", "worker-1"]
    info = check_source(SOURCE, "Net")
    return render_job_folder(job, SOURCE, info, num_classes=3, workers=workers)


def test_nvflare_validates_the_folder():
    """CONTRACT section 3, row 16."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for folder in ("app/", "app/config/", "app/custom/"):
            archive.writestr(f"job/{folder}", b"")
        for path, content in rendered(federation={"jobName": "my_job"}).items():
            archive.writestr(f"job/{path}", content)
    valid, message, meta = JobMetaValidator().validate("job", buffer.getvalue())
    assert (valid, message) == (True, "")
    assert meta["name"] == "my_job"


@pytest.mark.parametrize("side", ["client", "server"])
def test_nvflare_replaces_no_value(side):
    extra = {"home": "$HOME", "percent": "%s", "brace": "{", "nested": {"path": "images"}}
    files = rendered(training={"extra": extra})
    config = json.loads(files[f"app/config/config_fed_{side}.json"])
    before = copy.deepcopy(config)
    resolve_var_refs(JsonScanner(config), {**config, "HOME": "/root", "SITE_NAME": "x"})
    assert config == before
