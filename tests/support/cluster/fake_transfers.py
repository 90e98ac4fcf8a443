"""The operator's half of transfers in memory: offers for a fake store by a fake API server."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fedjob.protocol.transfer import (
    KEY_ANNOTATION,
    RESULTS_ANNOTATION,
    WANT_ANNOTATION,
    Download,
    ExpectedFile,
    ResultsOffer,
    UploadOffer,
    UploadRequest,
    expected_files,
    parts_of,
    seal_offer,
)
from fedjob.spec.models.job import FederatedJobSpec
from support.cluster.fake_api_server import Body, FakeApiServer
from support.cluster.fake_store import FakeStore


class FakeTransfers:
    """Answers the annotations of one job, as the operator does.

    Attributes:
        most: Requests of one offer.
        lifetime: Seconds until an offer expires.
        deaf: Whether it answers nothing.
        offers: Made so far.
        refusal: Message in place of an offer of results.
    """

    def __init__(self, api: FakeApiServer, store: FakeStore, name: str, namespace: str) -> None:
        self.most = 1000
        self.lifetime = 3600.0
        self.deaf = False
        self.offers = 0
        self.refusal = ""
        self._api, self._store, self._key = api, store, (namespace, name)
        self._answered: Any = None
        self._nonce = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._stop.wait(0.002):
            job = self._api.jobs.get(self._key)
            if job is not None and not self.deaf:
                self._uploads(job)
                self._results(job)

    def _missing(self, job: Body) -> list[UploadRequest]:
        found = []
        for file in _expected(job):
            path = file.path
            for part in parts_of(file.size):
                key = f"{path}.{part.number}"
                if key not in self._store.objects:
                    found.append(UploadRequest(
                        path=path, part=part.number, offset=part.offset, length=part.length,
                        url=self._store.url(key, sorted(self._store.valid)[-1]),
                    ))  # fmt: skip
        return found

    def _uploads(self, job: Body) -> None:
        notes = job["metadata"].get("annotations") or {}
        files = _expected(job)
        if not files or KEY_ANNOTATION not in notes:
            return
        missing = self._missing(job)
        total = {"files": len(files), "bytes": sum(file.size for file in files)}
        if not missing:
            done = {"upload": {"sequence": self.offers, "done": total, "total": total}}
            if (job.get("status") or {}).get("transfer") != done:
                self._write(job, {"state": "Building", "transfer": done})
            return
        first = {(request.path, request.part) for request in missing}
        asked = (notes[KEY_ANNOTATION], notes.get(WANT_ANNOTATION))
        offered = self._answered[1] if self._answered else set()
        if self._answered and self._answered[0] == asked and first & offered:
            return
        self.offers += 1
        requests = missing[: self.most]
        self._answered = (asked, {(request.path, request.part) for request in requests})
        offer = UploadOffer(
            sequence=self.offers, expires=int(time.time() + self.lifetime), requests=requests
        )
        sealed = seal_offer(offer, notes[KEY_ANNOTATION], job["metadata"]["uid"])
        upload = {"sealed": sealed, "sequence": self.offers, "total": total,
                  "done": {"files": 0, "bytes": 0}}  # fmt: skip
        self._write(job, {"state": "Uploading", "transfer": {"upload": upload}})

    def _results(self, job: Body) -> None:
        notes = job["metadata"].get("annotations") or {}
        nonce = notes.get(RESULTS_ANNOTATION, "")
        if not nonce or nonce == self._nonce:
            return
        self._nonce = nonce
        self.offers += 1
        answer: dict[str, Any] = {"nonce": nonce, "message": self.refusal or None}
        if not self.refusal:
            paths = sorted(self._store.objects)
            offer = ResultsOffer(
                nonce=nonce,
                expires=int(time.time() + self.lifetime),
                objects=[
                    Download(
                        path=path, size=len(self._store.objects[path]),
                        etag=self._store.etag(path),
                        url=self._store.url(path, sorted(self._store.valid)[-1]),
                    )
                    for path in paths
                ],
            )  # fmt: skip
            answer["sealed"] = seal_offer(offer, notes[KEY_ANNOTATION], job["metadata"]["uid"])
        self._write(job, {"transfer": {"results": answer}})

    def _write(self, job: Body, status: dict[str, Any]) -> None:
        meta = job["metadata"]
        old = self._api.jobs[self._key].get("status") or {}
        seen = {"observedGeneration": meta["generation"]}
        self._api.put(meta["name"], meta["namespace"], status={**old, **seen, **status})


def _expected(job: Body) -> list[ExpectedFile]:
    model = {"source": {"inline": "x"}, **job["spec"].get("model", {})}
    return expected_files(FederatedJobSpec.model_validate({**job["spec"], "model": model}))


@contextmanager
def fake_transfers(
    api: FakeApiServer, store: FakeStore, name: str = "digits", namespace: str = "team"
) -> Iterator[FakeTransfers]:
    transfers = FakeTransfers(api, store, name, namespace)
    try:
        yield transfers
    finally:
        transfers.stop()
