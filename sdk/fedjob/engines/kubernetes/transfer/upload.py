"""Sends the files that a job waits for: in parallel, each part checked, after any interruption."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait

from fedjob.engines.kubernetes.jobs import Change, JobsApi
from fedjob.engines.kubernetes.resource import FINAL, JobResource
from fedjob.engines.kubernetes.transfer.errors import (
    OfferExpiredError,
    TransferStalledError,
)
from fedjob.engines.kubernetes.transfer.store_http import StoreHttp
from fedjob.engines.kubernetes.transfer.store_route import store_route
from fedjob.engines.kubernetes.transfer.upload_sources import UploadSource
from fedjob.protocol.sealing import SealError, public_key
from fedjob.protocol.transfer import (
    KEY_ANNOTATION,
    MOST_REQUESTS,
    WANT_ANNOTATION,
    UploadOffer,
    UploadRequest,
    open_upload_offer,
)
from fedjob.spec.models.status import JobState

PARALLEL = 8
"""Requests at once."""
ASK_SECONDS = 60.0
"""Wait for the operator's next offer before asking for it."""
STALLED_SECONDS = 300.0
"""Without any progress for this long, the operator does not work on the job."""
_LOOK_SECONDS = 15.0
"""While bytes travel, the job is looked at this often: it may have been deleted."""
_BEFORE = frozenset({None, JobState.PENDING, JobState.UPLOADING})
Progress = Callable[[int, int], None]
"""Bytes that are in the store, of how many; called from several threads."""


def request_annotations(private: bytes) -> dict[str, str]:
    """What a job needs so that the operator makes an offer that this key opens, now."""
    return {KEY_ANNOTATION: public_key(private), WANT_ANNOTATION: secrets.token_hex(8)}


class UploadSession:
    """One upload of a job's files, until the operator has found all of them in the store."""

    def __init__(
        self,
        jobs: JobsApi,
        name: str,
        files: Mapping[str, UploadSource],
        private: bytes,
        *,
        after: int = 0,
        progress: Progress = lambda done, total: None,
        parallel: int = PARALLEL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Sends nothing yet.

        Args:
            jobs: The API, in the job's namespace.
            name: The job; it has the annotations of `request_annotations(private)`.
            files: By path below the job's prefix in the store, as `expected_files` names them.
            private: The key that opens offers.
            after: Offers up to this sequence are older than the annotations.
            progress: Called with bytes done and in all.
            parallel: Requests at once.
            clock: Seconds, for the limits on waiting.
        """
        self._jobs = jobs
        self._name = name
        self._files = files
        self._private = private
        self._sequence = after
        self._progress = progress
        self._parallel = parallel
        self._clock = clock
        self._total = sum(file.size for file in files.values())
        self._done = 0
        self._counted = False
        self._expired = False
        self._lock = threading.Lock()

    def run(self) -> JobResource:
        """Send everything; returns the job as it is when all has arrived, or when it failed.

        Raises:
            TransferStalledError: The operator makes no offer, or does not see what was sent.
            StoreAnswerError: The store cannot be reached, or refuses.
            FileChangedError: A file was written meanwhile.
            FedjobError: The job was deleted, or the cluster refuses.
        """
        progressed = self._clock()
        while True:
            job = self._next(progressed)
            if job is None:
                self._ask(progressed)
                continue
            if _arrived(job) or (job.status.state in FINAL and job.seen):
                self._show(self._total)
                return job
            offer = self._open(job)
            if offer is None:
                continue
            self._expired = False
            if self._send(offer, job):
                progressed = self._clock()
            if self._expired and not self._has_offer(self._jobs.get(self._name)):
                self._ask(progressed)

    def _next(self, progressed: float) -> JobResource | None:
        """The job when there is something to do; None where the operator should be asked.

        Raises:
            FedjobError: The job was deleted.
        """
        deadline = self._clock() + ASK_SECONDS
        for each in self._jobs.watch(self._name, deadline=deadline):
            if each.change is Change.DELETED:
                raise TransferStalledError(
                    f"{self._name} was deleted while its files were being sent; submit it again"
                )
            job = each.job
            if _arrived(job) or (job.status.state in FINAL and job.seen) or self._has_offer(job):
                return job
            if job.suspended:
                raise TransferStalledError(
                    f"{self._name} was suspended, so its files are not taken; `fedjob resume "
                    f"{self._name}`, then submit it again: it continues"
                )
        return None

    def _has_offer(self, job: JobResource) -> bool:
        """Whether the status has an offer that was not taken yet."""
        upload = job.status.transfer.upload if job.status.transfer else None
        if upload is None or not upload.sealed:
            return False
        return (upload.sequence or 0) > self._sequence

    def _ask(self, progressed: float) -> None:
        """Ask the operator for a new offer.

        Raises:
            TransferStalledError: There was no progress for too long.
        """
        waited = self._clock() - progressed
        if waited >= STALLED_SECONDS:
            raise TransferStalledError(
                f"{self._name}: the operator has not offered an upload for {waited:.0f} s; see "
                f"`fedjob doctor`, and the operator's log; the same command continues"
            )
        wanted = request_annotations(self._private)
        self._jobs.patch(self._name, {"metadata": {"annotations": wanted}})

    def _open(self, job: JobResource) -> UploadOffer | None:
        """The offer in the status; None where it is for the key of another client."""
        upload = job.status.transfer.upload if job.status.transfer else None
        if upload is None or not upload.sealed:
            return None
        self._sequence = upload.sequence or 0
        try:
            offer = open_upload_offer(upload.sealed, self._private, job.uid)
        except SealError:
            return None
        if not self._counted:
            self._counted = True
            missing = sum(request.length for request in offer.requests)
            if len(offer.requests) >= MOST_REQUESTS:
                missing = max(missing, self._total - upload.done.bytes)
            self._done = max(self._total - missing, 0)
        self._show(0)
        return offer

    def _send(self, offer: UploadOffer, job: JobResource) -> bool:
        """Send the requests of an offer; returns whether any arrived."""
        requests = [request for request in offer.requests if request.path in self._files]
        if not requests:
            return False
        stopped = threading.Event()
        arrived = 0
        with (
            store_route(
                self._jobs.api, offer.tunnel, parallel=self._parallel, stopped=stopped
            ) as http,
            ThreadPoolExecutor(self._parallel, thread_name_prefix="upload") as pool,
        ):
            futures = [
                pool.submit(self._send_one, http, request, offer.expires, stopped)
                for request in requests
            ]
            try:
                arrived = self._wait(futures, job)
            finally:
                stopped.set()
                for future in futures:
                    future.cancel()
        return arrived > 0

    def _wait(self, futures: list[Future[None]], job: JobResource) -> int:
        """Wait for all requests; how many arrived before the offer expired."""
        waiting: set[Future[None]] = set(futures)
        while waiting:
            done, waiting = wait(waiting, _LOOK_SECONDS, FIRST_EXCEPTION)
            for future in done:
                error = future.exception()
                if isinstance(error, OfferExpiredError):
                    self._expired = True
                    return sum(each.done() and not each.exception() for each in futures)
                if error is not None:
                    raise error
            if waiting and not done:
                self._check(job)
        return len(futures)

    def _check(self, job: JobResource) -> None:
        """See that the job still waits for the files.

        Raises:
            FedjobError: It was deleted or replaced.
        """
        now = self._jobs.get(self._name)
        if now.uid != job.uid or now.deleting:
            raise TransferStalledError(
                f"{self._name} was deleted while its files were being sent; submit it again"
            )

    def _send_one(
        self, http: StoreHttp, request: UploadRequest, expires: int, stopped: threading.Event
    ) -> None:
        if stopped.is_set():
            return
        if time.time() > expires:
            raise OfferExpiredError("the offer has expired")
        file = self._files[request.path]
        file.check()
        try:
            http.put(
                request.url,
                request.headers,
                file.open,
                offset=request.offset,
                length=request.length,
                moved=self._show,
            )
        except OSError as error:
            if error.filename is not None:
                file.check()
            raise

    def _show(self, moved: int) -> None:
        with self._lock:
            self._done = min(self._done + moved, self._total)
            done = max(self._done, 0)
        self._progress(done, self._total)


def _arrived(job: JobResource) -> bool:
    """Whether the operator has found every file in the store."""
    if not job.seen:
        return False
    upload = job.status.transfer.upload if job.status.transfer else None
    if upload is None:
        return job.status.state not in _BEFORE
    if upload.sealed:
        return False
    complete = 0 < upload.total.files <= upload.done.files
    return complete or job.status.state not in _BEFORE
