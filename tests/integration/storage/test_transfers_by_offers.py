"""`fedjob submit` and `result` by presigned requests: the operator's stages on a real store.

The API server is a fake; the store, the stages that sign and the client are real.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from fedjob.engines.local.store.embedded_store import EmbeddedStore
from fedjob.protocol.config import StoreLocation
from fedjob.spec.models.job import FederatedJob
from fedjob.storage.layout import Layout
from fedjob_operator.stages.job_store import JobStore
from fedjob_operator.stages.model_files import read_model
from support.cluster.fake_api_server import FakeApiServer, fake_api_server
from support.cluster.operator_transfers import OperatorTransfers, operator_transfers
from support.cluster.tcp_proxy import TcpProxy, tcp_proxy

MIB = 1024 * 1024
CODE = (
    "from torch import nn\n\n\nclass Net(nn.Module):\n    def forward(self, x):\n        return x\n"
    "\n\ndef fl_train(model, env, out_dir, logger=None):\n    return {}\n"
)


@pytest.fixture
def proxy(location: StoreLocation) -> Iterator[TcpProxy]:
    with tcp_proxy(str(location.endpoint)) as found:
        yield found


@pytest.fixture
def job_store(store: EmbeddedStore, location: StoreLocation, proxy: TcpProxy) -> JobStore:
    outside = location.model_copy(update={"endpoint": proxy.url})
    layout = Layout("team", "digits", location.prefix)
    return JobStore(location, outside, store.credentials, layout)


@pytest.fixture
def api() -> Iterator[FakeApiServer]:
    with fake_api_server() as found:
        yield found


@pytest.fixture
def operator(api: FakeApiServer, job_store: JobStore) -> Iterator[OperatorTransfers]:
    with operator_transfers(api, job_store) as found:
        yield found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A job and its shards: two small ones, and one that travels in three parts."""
    model = {"className": "Net", "source": {"inline": CODE}}
    job = {
        "apiVersion": "fedjob.dev/v1alpha1", "kind": "FederatedJob",
        "metadata": {"name": "digits"},
        "spec": {"model": model, "training": {"numClasses": 2}},
    }  # fmt: skip
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(job))
    (tmp_path / "shards").mkdir()
    for index, size in enumerate((5_000, 900_000, 35 * MIB)):
        with zipfile.ZipFile(tmp_path / f"shards/s{index}.zip", "w") as archive:
            archive.writestr("data.bin", random.Random(index).randbytes(size))
    return tmp_path


def fedjob(api: FakeApiServer, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {
        **os.environ, "KUBECONFIG": str(api.kubeconfig(folder)),
        "XDG_CACHE_HOME": str(folder / "cache"),
    }  # fmt: skip
    program = Path(sys.executable).parent / "fedjob"
    return subprocess.Popen(
        [program, *arguments], cwd=folder, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def ends(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out


def until_held(proxy: TcpProxy, process: subprocess.Popen[str]) -> None:
    while not proxy.holding:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def check_arrived(job_store: JobStore, folder: Path) -> None:
    for path in (folder / "shards").iterdir():
        key = job_store.layout.shard(path.name)
        data = path.read_bytes()
        assert job_store.bucket().get_bytes(key, limit=len(data)) == data
        head = job_store.bucket().head(key)
        assert head is not None
        assert head.sha256 == hashlib.sha256(data).hexdigest()


SUBMIT = ("submit", "job.yaml", "--shards", "shards")


def test_shards_arrive_and_a_second_submit_sends_nothing(
    api: FakeApiServer, operator: OperatorTransfers, job_store: JobStore, proxy: TcpProxy,
    folder: Path,
) -> None:  # fmt: skip
    ends(fedjob(api, folder, *SUBMIT))
    check_arrived(job_store, folder)
    sent = proxy.sent
    ends(fedjob(api, folder, *SUBMIT))
    assert proxy.sent == sent


def test_checkpoint_and_files_of_the_model_arrive_too(
    api: FakeApiServer, operator: OperatorTransfers, job_store: JobStore, folder: Path
) -> None:
    """An empty file and files in folders among them; the checkpoint travels in parts."""
    code = folder / "code"
    (code / "pkg").mkdir(parents=True)
    contents = {"pkg/table.bin": b"\xff\x00", "pkg/empty.bin": b"", "long.txt": b"x" * 140_000}
    for path, content in contents.items():
        (code / path).write_bytes(content)
    # Beyond 64 items of the resource, also the smallest texts travel as files.
    for number in range(70):
        (code / f"{number:03}.txt").write_bytes(b"")
    (code / "model_def.py").write_text(CODE + "#" * 262_144)
    first = random.Random(7).randbytes(20 * MIB)
    (folder / "first.pt").write_bytes(first)
    ends(fedjob(api, folder, *SUBMIT, "--model-file", "code", "--checkpoint", "first.pt"))
    check_arrived(job_store, folder)
    bucket, layout = job_store.bucket(), job_store.layout
    for path, content in contents.items():
        assert bucket.get_bytes(f"{layout.model}files/{path}", limit=len(content)) == content
    head = bucket.head(layout.checkpoint(".pt"))
    assert head is not None
    assert (head.size, head.sha256) == (len(first), hashlib.sha256(first).hexdigest())
    job = api.jobs["team", "digits"]
    read = asyncio.run(read_model(Cluster(), FederatedJob.model_validate(job), job_store))
    assert read.source.text.startswith(CODE)
    assert contents.items() <= read.files.items()
    assert len(read.files) == 73


class Cluster:
    """A cluster that nothing is read from."""


def test_submit_that_is_killed_in_the_middle_continues(
    api: FakeApiServer, operator: OperatorTransfers, job_store: JobStore, proxy: TcpProxy,
    folder: Path,
) -> None:  # fmt: skip
    proxy.hold(after=30 * MIB)
    process = fedjob(api, folder, *SUBMIT)
    until_held(proxy, process)
    process.kill()
    process.communicate()
    proxy.release()
    before = proxy.sent
    ends(fedjob(api, folder, *SUBMIT))
    check_arrived(job_store, folder)
    # The part or parts that had arrived whole are not sent again.
    assert proxy.sent - before < 36 * MIB


def test_byte_that_changes_in_transit_is_noticed(
    api: FakeApiServer, operator: OperatorTransfers, job_store: JobStore, proxy: TcpProxy,
    folder: Path,
) -> None:  # fmt: skip
    proxy.flip_at = 12 * MIB
    ends(fedjob(api, folder, *SUBMIT))
    assert proxy.flip_at is None
    check_arrived(job_store, folder)
    assert proxy.sent > (35 + 3) * MIB  # what was damaged was sent again


def test_urls_that_expire_meanwhile_are_renewed(
    api: FakeApiServer, operator: OperatorTransfers, job_store: JobStore, proxy: TcpProxy,
    folder: Path,
) -> None:  # fmt: skip
    operator.url_seconds = 2
    proxy.hold(after=1 * MIB)
    process = fedjob(api, folder, *SUBMIT)
    until_held(proxy, process)
    time.sleep(3)
    operator.url_seconds = 600
    proxy.release()
    ends(process)
    check_arrived(job_store, folder)


def test_result_that_is_cut_continues_and_is_checked(
    api: FakeApiServer, operator: OperatorTransfers, job_store: JobStore, proxy: TcpProxy,
    folder: Path,
) -> None:  # fmt: skip
    ends(fedjob(api, folder, *SUBMIT))
    model = random.Random(9).randbytes(20 * MIB)
    bucket, layout = job_store.bucket(), job_store.layout
    for name, data in {
        "model.safetensors": model,
        "GLOBAL_MODEL.pt": b"pt",
        "report.html": b"<",
    }.items():
        (folder / name).write_bytes(data)
        bucket.upload_file(folder / name, layout.result(name))
    result = {"uri": "s3://b/m", "sha256": hashlib.sha256(model).hexdigest(), "size": len(model)}
    old = api.jobs["team", "digits"]["status"]
    api.put("digits", status={**old, "state": "Complete", "result": result})
    operator.interval = 0.05
    proxy.cut_after = 9 * MIB
    ends(fedjob(api, folder, "result", "digits", "--out", "out"))
    assert proxy.cut_after is None
    assert (folder / "out/model.safetensors").read_bytes() == model
    assert sorted(path.name for path in (folder / "out").iterdir()) == [
        "GLOBAL_MODEL.pt", "model.safetensors", "report.html", "result.json",
    ]  # fmt: skip
