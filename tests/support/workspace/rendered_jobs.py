"""Rendered job folders, and what is in them."""

import json

from fedjob.spec.models.job import FederatedJob
from fedjob.workspace.render import render_job_folder
from fedjob.workspace.source.model_file import check_source

MODEL = """import torch.nn as nn  # ünï


class Net(nn.Module):
    def __init__(self, width=8, num_classes=2):
        super().__init__()
        self.head = nn.Linear(width, num_classes)
"""


FORM_A = MODEL + "\n\ndef fl_train_model(payload):\n    return {}\n"


FORM_B = MODEL + "\n\ndef fl_train(model, env, out_dir, logger=None):\n    return {}\n"


VALIDATE = "\n\ndef fl_validate(model, env, out_dir, logger=None):\n    return {}\n"


def a_job(**spec):
    spec.setdefault("model", {})
    spec["model"] = {"className": "Net", "source": {"inline": "x = 1"}, **spec["model"]}
    return FederatedJob.model_validate({"metadata": {"name": "digits"}, "spec": spec})


def rendered(source=FORM_A, workers=("worker-0", "worker-1"), extra=None, **spec):
    job = a_job(**spec)
    info = check_source(source, job.spec.model.class_name, job.spec.model.train_function)
    return render_job_folder(
        job, source, info, num_classes=10, workers=list(workers), extra_files=extra or {}
    )


def config(files, side):
    return json.loads(files[f"app/config/config_fed_{side}.json"])


def executor_of(files):
    (entry,) = config(files, "client")["executors"]
    return entry
