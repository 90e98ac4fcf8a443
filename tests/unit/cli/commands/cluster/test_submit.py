"""`fedjob submit`: checks, sends, and follows."""

import json

import pytest
import yaml

from fedjob.cli.commands.cluster import submit
from fedjob.cli.interruption import Interrupted
from fedjob.engines.kubernetes.engine import KubernetesEngine
from support.workspace.shard_zips import GOOD, zipped

NET = (
    "from torch import nn\n\n\nclass Net(nn.Module):\n    def forward(self, x):\n        return x\n"
)


@pytest.fixture
def job(tmp_path):
    path = tmp_path / "job.yaml"
    model = {"className": "Net", "source": {"inline": NET}}
    path.write_text(yaml.safe_dump({
        "apiVersion": "fedjob.dev/v1alpha1", "kind": "FederatedJob",
        "metadata": {"name": "digits"},
        "spec": {"model": model, "training": {"numClasses": 3}},
    }))  # fmt: skip
    return path


@pytest.fixture
def shards(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("a.zip", "b.zip"):
        (folder / name).write_bytes(zipped(GOOD))
    return folder


def test_job_is_created_with_its_shards(fedjob, fake, store, job, shards):
    called = fedjob("submit", job, "--shards", shards)
    assert called.code == 0
    assert sorted(store.objects) == ["shards/a.zip.0", "shards/b.zip.0"]
    assert "team/digits created" in called.err
    assert "uploaded" in called.err
    assert "`fedjob watch digits` shows the run" in called.out


def test_namespace_of_the_option_then_of_the_file_then_of_the_context(fedjob, fake, job):
    fedjob("submit", job)
    fedjob("submit", job, "-n", "mine")
    job.write_text(job.read_text().replace("name: digits", "name: digits\n  namespace: filed"))
    called = fedjob("submit", job)
    assert sorted(namespace for namespace, _ in fake.jobs) == ["filed", "mine", "team"]
    assert "(with -n filed)" in called.out


def test_faults_are_listed_and_nothing_is_sent(fedjob, fake, job, shards):
    (shards / "a.zip").write_bytes(b"no zip")
    called = fedjob("submit", job, "--shards", shards)
    assert called.code == 2
    assert "a.zip" in called.err
    assert fake.asked == []
    assert json.loads(fedjob("submit", job, "--shards", shards, "--json").out)["exitCode"] == 2


@pytest.mark.parametrize(("state", "code"), [("complete", 0), ("failed", 1)])
def test_wait_ends_with_the_run(fedjob, fake, job, status, state, code):
    fedjob("submit", job)
    fake.put("digits", status=status[state]())
    called = fedjob("submit", job, "--wait")
    assert called.code == code
    assert "round 2/5" in called.err
    shown = fedjob("submit", job, "--wait", "--json")
    assert json.loads(shown.out)["completed"] in (2, 5)


def test_job_that_the_operator_refuses_exits_with_1(fedjob, fake, job, status):
    fedjob("submit", job)
    fake.put("digits", status={**status["failed"](), "message": "the files are too large"})
    called = fedjob("submit", job)
    assert called.code == 1
    assert "failed: OutOfMemory: the files are too large" in called.err
    assert called.out == ""


def test_ctrl_c_while_sending_says_how_to_continue(fedjob, fake, job, shards, monkeypatch):
    def interrupted(self):
        self._observer.uploaded(1_000_000, 4_000_000)
        raise Interrupted

    monkeypatch.setattr(KubernetesEngine, "submit", interrupted)
    called = fedjob("submit", job, "--shards", shards)
    assert called.code == 130
    assert "stopped with 1 MB of 4 MB sent; the same command continues" in called.err


def test_ctrl_c_while_waiting_detaches(fedjob, fake, job, monkeypatch):
    def interrupted(*_):
        raise Interrupted

    monkeypatch.setattr(submit, "follow_run", interrupted)
    called = fedjob("submit", job, "--wait")
    assert called.code == 130
    assert "detached; digits is not stopped" in called.err
