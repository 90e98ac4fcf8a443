"""Shards sent and results read by a client without keys, past crashes and deletions.

The client here is a raw one: annotations, the status, and plain HTTP requests.
"""

# ruff: noqa: S310 - the URLs are the test's own

from __future__ import annotations

import hashlib
import io
import json
import random
import time
import urllib.request
import uuid
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from e2e.cluster_access.operator_deployment import NET, OperatorDeployment, is_complete
from e2e.cluster_access.recorder import recorder, shard
from fedjob.protocol.sealing import new_private_key, public_key
from fedjob.protocol.transfer import (
    KEY_ANNOTATION,
    RESULTS_ANNOTATION,
    WANT_ANNOTATION,
    WHOLE,
    ResultsOffer,
    UploadOffer,
    UploadRequest,
    open_results_offer,
    open_upload_offer,
)
from fedjob.storage.layout import Layout

pytestmark = pytest.mark.e2e


class Client:
    """A job and the only process that can read the offers made for it."""

    def __init__(self, deployment: OperatorDeployment, name: str, files: dict[str, bytes]) -> None:
        self._deployment, self.name, self._files = deployment, name, files
        self._private = new_private_key()

    def submit(self, **spec: Any) -> None:
        files = [
            {"name": name, "sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
            for name, data in self._files.items()
        ]
        body = {
            "apiVersion": "fedjob.dev/v1alpha1",
            "kind": "FederatedJob",
            "metadata": {
                "name": self.name,
                "annotations": {KEY_ANNOTATION: public_key(self._private)},
            },
            "spec": {
                "model": {"className": "Net", "source": {"inline": NET}},
                "workers": {"gpu": 0},
                "shards": {"upload": {"files": files}},
                **spec,
            },
        }
        where = ("-n", self._deployment.jobs)
        self._deployment.kubectl(*where, "apply", "-f", "-", given=yaml.safe_dump(body))
        self.uid = self._deployment.get("fj", self.name)["metadata"]["uid"]

    def annotate(self, name: str, value: str) -> None:
        where = ("-n", self._deployment.jobs)
        self._deployment.kubectl(*where, "annotate", "--overwrite", "fj", self.name,
                                 f"{name}={value}")  # fmt: skip

    def offer(self, after: int = 0) -> UploadOffer:
        def is_new(status: Any) -> bool:
            upload = status.get("transfer", {}).get("upload", {})
            return bool(upload.get("sealed")) and upload["sequence"] > after

        upload = self._deployment.until(self.name, is_new)["transfer"]["upload"]
        return open_upload_offer(upload["sealed"], self._private, self.uid)

    def send(self, request: UploadRequest) -> None:
        data = self._files[request.path.removeprefix("shards/")]
        body = data[request.offset : request.offset + request.length]
        sent = urllib.request.Request(request.url, body, request.headers, method="PUT")
        with urllib.request.urlopen(sent) as answer:
            assert answer.status == 200

    def results(self, request: str) -> ResultsOffer:
        self.annotate(RESULTS_ANNOTATION, request)

        def is_answered(status: Any) -> bool:
            return bool(status.get("transfer", {}).get("results", {}).get("nonce") == request)

        results = self._deployment.until(self.name, is_answered)["transfer"]["results"]
        return open_results_offer(results["sealed"], self._private, self.uid)


def padded(data: bytes, size: int, seed: int) -> bytes:
    """The same shard with an incompressible file that its manifest does not name."""
    file = io.BytesIO(data)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("padding.bin", random.Random(seed).randbytes(size))
    return file.getvalue()


def eventually(holds: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_upload_survives_a_crash_of_the_operator_and_results_come_back(
    deployment: OperatorDeployment,
) -> None:
    files = {"part-0.zip": shard(4), "part-1.zip": padded(shard(8), 2 * WHOLE, 1)}
    client = Client(deployment, "sent", files)
    client.submit(**recorder(2))
    first = client.offer()
    assert [(request.path, request.part) for request in first.requests] == [
        ("shards/part-0.zip", 0),
        *(("shards/part-1.zip", number) for number in (1, 2, 3)),
    ]
    for request in first.requests[:2]:
        client.send(request)
    status = deployment.until("sent", lambda s: "1/2" in s.get("message", ""))
    assert status["state"] == "Uploading"
    assert not deployment.pods("sent")
    deployment.kill()
    client.send(first.requests[2])
    deployment.start()
    client.annotate(WANT_ANNOTATION, "after-the-crash")
    second = client.offer(after=first.sequence)
    assert [(request.path, request.part) for request in second.requests] == [
        ("shards/part-1.zip", 3)
    ]
    client.send(second.requests[0])
    status = deployment.until("sent", is_complete)
    upload = status["transfer"]["upload"]
    assert "sealed" not in upload
    assert upload["done"] == upload["total"]
    layout = Layout(deployment.jobs, "sent")
    for name, data in files.items():
        head = deployment.bucket.head(layout.shard(name))
        assert head is not None
        assert (head.size, head.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert list(deployment.bucket.client_uploads().open(layout.root)) == []

    logs = {f"files_out/logs/{name}.log" for name in ("server/1", "worker-0/0", "worker-1/0")}
    deadline = time.monotonic() + 120
    found: dict[str, Any] = {}
    # A site sends its log now and then, and when it ends: after the job is complete.
    while not logs <= found.keys():
        assert time.monotonic() < deadline, sorted(found)
        time.sleep(1)
        request = uuid.uuid4().hex
        offer = client.results(request)
        found = {each.path: each for each in offer.objects}
        assert {"model_out/model.safetensors", "model_out/report.html"} <= found.keys()
    # A worker sends the end of its log when it ends, which is after the job is complete.
    deadline = time.monotonic() + 120
    log = b""
    while log.count(b"RECORD ") != 2:
        assert time.monotonic() < deadline, log.decode()
        time.sleep(1)
        with urllib.request.urlopen(found["files_out/logs/worker-1/0.log"].url) as answer:
            log = answer.read()
    with urllib.request.urlopen(found["model_out/model.safetensors"].url) as answer:
        digest = hashlib.sha256(answer.read()).hexdigest()
    assert digest == status["result"]["sha256"]
    deployment.kill()
    deployment.start()
    later = client.results(f"{request}/round=1")
    assert any(each.path.startswith("rounds/1/") for each in later.objects)
    deployment.delete("sent")


def test_a_job_deleted_while_it_is_uploaded_to_leaves_no_parts(
    deployment: OperatorDeployment,
) -> None:
    client = Client(deployment, "dropped", {"part-0.zip": padded(shard(4), 2 * WHOLE, 2)})
    client.submit(federation={"numRounds": 1, "minClients": 1})
    client.send(client.offer().requests[0])
    uploads, root = deployment.bucket.client_uploads(), Layout(deployment.jobs, "dropped").root
    assert len(list(uploads.open(root))) == 1
    deployment.delete("dropped")
    eventually(lambda: not list(uploads.open(root)))


def test_a_file_above_the_limit_is_refused_before_it_is_sent(
    deployment: OperatorDeployment,
) -> None:
    client = Client(deployment, "huge", {"part-0.zip": b"x"})
    client.submit(
        shards={"upload": {"files": [{"name": "a.zip", "sha256": "0" * 64, "size": 2**39}]}},
        federation={"numRounds": 1, "minClients": 1},
    )
    status = deployment.until("huge", lambda s: s.get("reason") == "UploadTooLarge")
    assert "shards/a.zip: has 549755813888 bytes" in status["message"]
    assert "sealed" not in json.dumps(status)
    deployment.delete("huge")
