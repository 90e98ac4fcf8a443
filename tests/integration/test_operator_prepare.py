"""The operator's stages with a real store."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import urllib.error
import urllib.request
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from fedjob.engines.local.store.embedded_store import EmbeddedStore
from fedjob.errors import FedjobError
from fedjob.protocol.config import StoreLocation
from fedjob.protocol.server_status import RunPhase
from fedjob.spec.models.job import FederatedJob
from fedjob.storage.owner import Owner
from fedjob.storage.rounds import RoundLog
from fedjob_operator.kube.client import ApiError, Cluster
from fedjob_operator.naming import Body
from fedjob_operator.stages.errors import StageError
from fedjob_operator.stages.inputs import Inputs, read_inputs
from fedjob_operator.stages.job_store import JobStore, open_store
from fedjob_operator.stages.presigned_urls import sign_urls
from fedjob_operator.stages.round_log import read_log
from fedjob_operator.stages.startup_kits import make_kits
from fedjob_operator.stages.workspace import upload_workspace
from fedjob_operator.state.observed import Defaults
from support.operator.samples import DEFAULTS, NOW, a_commit, a_job

SOURCE = """
from torch import nn


class Net(nn.Module):
    def forward(self, x):
        return x
"""


class NoCluster:
    """A cluster with the objects that a test adds."""

    def __init__(self, **objects: Body) -> None:
        self.objects = objects

    async def get(self, _version: str, _kind: str, _namespace: str, name: str) -> Body | None:
        return self.objects.get(name)


@pytest.fixture
def defaults(store: EmbeddedStore, location: StoreLocation) -> Defaults:
    return replace(
        DEFAULTS,
        bucket=location.bucket,
        prefix=location.prefix,
        endpoint=location.endpoint,
        keys=store.credentials.environment(),
    )


@pytest.fixture
def opened(defaults: Defaults) -> JobStore:
    return asyncio.run(open_store(cast(Cluster, NoCluster()), job(), defaults, None))


def job(**spec: Any) -> FederatedJob:
    model = {"source": {"inline": SOURCE}, "className": "Net", **spec.pop("model", {})}
    return a_job(model=model, **spec)


def shard(labels: list[int], manifest: str = "manifest.ndjson") -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        lines = [{"id": str(i), "uri": f"{i}.txt", "y": y} for i, y in enumerate(labels)]
        archive.writestr(manifest, "\n".join(map(json.dumps, lines)))
        for i in range(len(labels)):
            archive.writestr(f"{i}.txt", "x")
    return data.getvalue()


def put(opened: JobStore, **shards: bytes) -> None:
    with opened.bucket() as bucket:
        for name, content in shards.items():
            bucket.put_bytes(opened.layout.shard(f"{name}.zip"), content)


def inputs_of(opened: JobStore, made: FederatedJob | None = None, **objects: Body) -> Inputs:
    cluster = cast(Cluster, NoCluster(**objects))
    return asyncio.run(read_inputs(cluster, made or job(), opened))


def reason_of(opened: JobStore, made: FederatedJob | None = None) -> tuple[str, str]:
    with pytest.raises(FedjobError) as caught:
        inputs_of(opened, made)
    return caught.value.reason, str(caught.value)


def test_inputs_are_found_by_name_and_classes_counted_over_all(opened: JobStore) -> None:
    """Rows 21 and 37."""
    put(opened, b=shard([6]), a=shard([1, 2]), v=shard([3]))
    inputs = inputs_of(opened, job(shards={"validation": "v.zip"}))
    assert [worker.name for worker in inputs.prepared.workers] == ["a.zip", "b.zip"]
    assert inputs.prepared.num_classes == 7
    assert inputs.prepared.validation == opened.layout.shard("v.zip")
    assert inputs.files["app/custom/model_def.py"].decode() == SOURCE


def test_every_fault_has_a_reason_and_a_fix(opened: JobStore) -> None:
    reason, message = reason_of(opened)
    assert reason == "ShardsMissing"
    assert message.endswith("the operator checks again")
    put(opened, a=shard([1, 9]))
    assert reason_of(opened, job(training={"numClasses": 3}))[0] == "NumClassesTooSmall"
    assert reason_of(opened, job(shards={"validation": "v.zip"}))[0] == "ShardsMissing"
    lonely = job(shards={"validation": "a.zip"})
    assert "only the validation shard" in reason_of(opened, lonely)[1]
    assert reason_of(opened, job(model={"className": "Gone"}))[0] == "SourceInvalid"
    put(opened, b=shard([1], "sub/manifest.ndjson"))
    assert reason_of(opened)[0] == "ManifestMissing"
    item = {"name": "x.zip", "uri": f"s3://{opened.location.bucket}/nowhere/x.zip"}
    assert reason_of(opened, job(shards={"items": [item]}))[0] == "ObjectMissing"
    bad = {**item, "uri": opened_uri(opened, "a.zip"), "sha256": "0" * 64}
    assert reason_of(opened, job(shards={"items": [bad]}))[0] == "ChecksumMismatch"
    far = job(shards={"uri": "s3://no-such-bucket/shards/"})
    assert reason_of(opened, far)[0] == "BucketMissing"
    weights = job(model={"checkpoint": f"s3://{opened.location.bucket}/no.pt"})
    with opened.bucket() as bucket:
        bucket.delete(opened.layout.shard("b.zip"))
    assert reason_of(opened, weights)[0] == "CheckpointInvalid"


def opened_uri(opened: JobStore, name: str) -> str:
    return f"s3://{opened.location.bucket}/{opened.layout.shard(name)}"


def test_model_file_is_read_from_every_kind_of_source(opened: JobStore) -> None:
    put(opened, a=shard([1]))
    with opened.bucket() as bucket:
        bucket.put_bytes(opened.layout.under(opened.layout.model, "m.py"), SOURCE.encode())
    uri = f"s3://{opened.location.bucket}/{opened.layout.model}m.py"
    from_store = job(model={"source": {"uri": uri}})
    assert inputs_of(opened, from_store).files["app/custom/model_def.py"].decode() == SOURCE
    from_map = job(model={"source": {"configMapRef": {"name": "code"}}})
    there = {"data": {"model_def.py": SOURCE}}
    assert inputs_of(opened, from_map, code=there).files["app/custom/model_def.py"]
    reason, message = reason_of(opened, from_map)
    assert reason == "SourceInvalid"
    assert "kubectl -n team create configmap code" in message


OLD, NEW = Owner("uid-1", "2026-11-24T10:00:00Z"), Owner("uid-2", "2026-11-24T10:00:05Z")


def leads() -> None:
    """The lease is held."""


def test_workspace_is_uploaded_once_and_a_recreated_job_starts_over(
    opened: JobStore,
) -> None:
    """Rows 39 and 41."""
    put(opened, a=shard([1]))
    files = inputs_of(opened).files
    layout = opened.layout
    with opened.bucket() as bucket:
        bucket.put_bytes(layout.under(layout.scripts, "stale.py"), b"old")
        first = upload_workspace(opened, OLD, files, {}, leads)
        names = {info.key.removeprefix(layout.root) for info in bucket.list(layout.root)}
        assert {"scripts/model_def.py", "configs/meta.json", "attempts/owner.json"} <= names
        assert "scripts/stale.py" not in names
        bucket.put_bytes(layout.commit(0), b"{}")
        assert upload_workspace(opened, OLD, files, {}, leads) == first
        assert bucket.head(layout.commit(0)) is not None
        upload_workspace(opened, NEW, files, {}, leads)
        assert bucket.head(layout.commit(0)) is None
        assert bucket.head(layout.shard("a.zip")) is not None


def test_late_operator_takes_nothing_from_a_later_job(opened: JobStore) -> None:
    """It was frozen while the job was recreated, and another operator is active now."""
    put(opened, a=shard([1]))
    files = inputs_of(opened).files
    with opened.bucket() as bucket:
        upload_workspace(opened, NEW, files, {}, leads)
        bucket.put_bytes(opened.layout.commit(0), b"{}")
        with pytest.raises(StageError, match="a later job of this name has started"):
            upload_workspace(opened, OLD, files, {}, leads)
        assert bucket.head(opened.layout.commit(0)) is not None


@pytest.mark.parametrize("calls", range(4))
def test_operator_without_lease_changes_nothing(opened: JobStore, calls: int) -> None:
    """Between any two of its calls."""
    put(opened, a=shard([1]))
    files = inputs_of(opened).files
    left = iter([True] * calls)

    def may_act() -> None:
        if not next(left, False):
            raise ApiError("the job folder", 0, "NotLeading", "the lease has run out")

    with opened.bucket() as bucket:
        upload_workspace(opened, OLD, files, {}, leads)
        bucket.put_bytes(opened.layout.commit(0), b"{}")
        with pytest.raises(ApiError, match="the lease has run out"):
            upload_workspace(opened, NEW, files, {}, may_act)
        # The first allowed write is the deletion of the earlier job's rounds.
        assert (bucket.head(opened.layout.commit(0)) is None) == (calls > 0)


def test_url_reads_one_shard_and_no_other(opened: JobStore) -> None:
    """Row 38."""
    own = shard([1])
    put(opened, a=own, b=shard([2]))
    inputs = inputs_of(opened)
    urls = sign_urls(opened, inputs.prepared.workers, NOW, 3600, ordinals={})
    assert urls["worker-0"].expires == NOW + 3600
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urls["worker-0"].url) as answer:
        assert answer.read() == own
    with pytest.raises(urllib.error.HTTPError):
        opener.open(urls["worker-0"].url.replace("a.zip", "b.zip"))


def test_round_log_reveals_an_unreported_end(opened: JobStore, tmp_path: Path) -> None:
    two = job(federation={"numRounds": 2})
    assert read_log(two, opened).phase is RunPhase.STARTING
    model = tmp_path / "model.safetensors"
    model.write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    with opened.bucket() as bucket:
        log = RoundLog(bucket, opened.layout)
        attempt = log.claim_attempt("test")
        for number in range(3):
            log.commit(a_commit(number, attempt, sha256=digest, size=7), model)
        assert read_log(two, opened).phase is RunPhase.STARTING
        log.publish_result(2, {"model.safetensors": model})
        status = read_log(two, opened)
        found = (status.phase, status.completed, status.result_sha256)
        assert found == (RunPhase.COMPLETE, 2, digest)
        assert [commit.round for commit in status.history] == [1, 2]
        # Raised to three rounds: the model of the second in its place is not the result.
        three = job(federation={"numRounds": 3})
        better = tmp_path / "better.safetensors"
        better.write_bytes(b"better weights")
        again = hashlib.sha256(b"better weights").hexdigest()
        log.commit(a_commit(3, attempt, sha256=again, size=14), better)
        assert read_log(three, opened).phase is RunPhase.STARTING
        log.publish_result(3, {"model.safetensors": better})
    assert read_log(three, opened).result_sha256 == again


def test_kits_are_made_by_the_runtimes_command() -> None:
    kits = asyncio.run(make_kits(job(), 2))
    assert set(kits.files) == {"server", "admin", "worker-0", "worker-1"}
    assert set(kits.files["worker-1"]) == {
        "fed_client.json",
        "rootCA.pem",
        "client.crt",
        "client.key",
    }
    assert kits.files["server"]["rootCA.pem"] == kits.files["worker-0"]["rootCA.pem"]
