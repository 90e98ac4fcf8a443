"""The operator's stages of uploads and results on a real store, for jobs of a fake API server."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fedjob.formats import rfc3339
from fedjob.protocol.transfer import (
    KEY_ANNOTATION,
    RESULTS_ANNOTATION,
    WANT_ANNOTATION,
    expected_files,
)
from fedjob.spec.models.job import FederatedJob
from fedjob.storage.owner import Owner
from fedjob_operator.stages.job_store import JobStore
from fedjob_operator.stages.results import ResultsJob, offer_results
from fedjob_operator.stages.uploads import UploadJob, UploadLimits, look_at_uploads
from fedjob_operator.state.transfers import Results, TransferAsk, Uploads
from support.cluster.fake_api_server import Body, FakeApiServer


class OperatorTransfers:
    """Answers the annotations of every job, as the operator's stages do.

    Attributes:
        url_seconds: Lifetime of the URLs.
        interval: Seconds between two looks at the store.
    """

    def __init__(self, api: FakeApiServer, store: JobStore) -> None:
        self.url_seconds = 600
        self.interval = 0.1
        self._api, self._store = api, store
        self._uploads: dict[str, Uploads] = {}
        self._results: dict[str, Results] = {}
        self._stop = threading.Event()
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        if self.error is not None:
            raise self.error

    def _work(self) -> None:
        try:
            while not self._stop.wait(self.interval):
                for body in list(self._api.jobs.values()):
                    self._answer(body)
        except BaseException as error:  # noqa: BLE001 (the test raises it)
            self.error = error
            # A client that waits for an offer must not wait until its own limit.
            for body in list(self._api.jobs.values()):
                meta = body["metadata"]
                failed = {"state": "Failed", "observedGeneration": meta["generation"]}
                failed |= {"reason": "InternalError", "message": f"the test's operator: {error!r}"}
                self._api.put(meta["name"], meta["namespace"], status=failed)

    def _answer(self, body: Body) -> None:
        job, notes = FederatedJob.model_validate(body), body["metadata"].get("annotations") or {}
        uid = str(job.metadata.uid)
        owner = Owner(uid, str(job.metadata.creation_timestamp))
        key = notes.get(KEY_ANNOTATION, "")
        transfer: dict[str, Any] = dict((body.get("status") or {}).get("transfer") or {})
        state = (body.get("status") or {}).get("state", "Pending")
        files = expected_files(job.spec)
        before = self._uploads.get(uid)
        if files and not (before is not None and before.complete):
            ask = TransferAsk(key=key, want=notes.get(WANT_ANNOTATION, ""))
            found = look_at_uploads(
                self._store,
                UploadJob(owner=owner, files=files, ask=ask),
                UploadLimits(
                    file_bytes=10**12, total_bytes=10**12, days=36500.0,
                    url_seconds=self.url_seconds,
                ),
                signing=self._store.for_clients(None), may_act=lambda: None, before=before,
                now=time.time(),
            )  # fmt: skip
            self._uploads[uid] = found
            transfer["upload"] = _upload(found, sum(file.size for file in files))
            state = "Building" if found.complete else "Uploading"
        asked = notes.get(RESULTS_ANNOTATION, "")
        answer = self._results.get(uid)
        if asked and (answer is None or answer.ask.results != asked):
            answer = offer_results(
                self._store,
                self._store.for_clients(None),
                ResultsJob(
                    owner=owner, ask=TransferAsk(key=key, results=asked),
                    url_seconds=self.url_seconds,
                ),
                time.time(),
            )  # fmt: skip
            self._results[uid] = answer
            transfer["results"] = {
                "nonce": asked, "sealed": answer.sealed or None, "objects": answer.objects,
                "message": answer.message or None,
            }  # fmt: skip
        old = body.get("status") or {}
        status = {
            **old, "state": state, "transfer": transfer,
            "observedGeneration": body["metadata"]["generation"],
        }  # fmt: skip
        if status != old:
            self._api.put(body["metadata"]["name"], body["metadata"]["namespace"], status=status)


def _upload(found: Uploads, size: int) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "done": {"files": len(found.verified), "bytes": found.bytes},
        "total": {"files": found.total_files, "bytes": size},
    }
    if found.offer is not None:
        shown["sealed"] = found.offer.sealed
        shown["sequence"] = found.offer.sequence
        shown["expires"] = rfc3339(found.offer.expires)
    return shown


@contextmanager
def operator_transfers(api: FakeApiServer, store: JobStore) -> Iterator[OperatorTransfers]:
    transfers = OperatorTransfers(api, store)
    try:
        yield transfers
    finally:
        transfers.stop()
