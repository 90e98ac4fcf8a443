"""Fetches what a run left in the store: checked, resumable, each file in one step."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath

from fedjob.atomic_files import sync
from fedjob.engines.kubernetes.jobs import Change, JobsApi
from fedjob.engines.kubernetes.resource import JobResource
from fedjob.engines.kubernetes.transfer.errors import (
    FileChangedError,
    OfferExpiredError,
    StoreAnswerError,
    TransferStalledError,
)
from fedjob.engines.kubernetes.transfer.store_http import StoreHttp
from fedjob.engines.kubernetes.transfer.store_route import store_route
from fedjob.errors import Fault, InvalidInputError
from fedjob.protocol.sealing import public_key
from fedjob.protocol.transfer import (
    KEY_ANNOTATION,
    RESULTS_ANNOTATION,
    Download,
    ResultsOffer,
    ResultsRequest,
    open_results_offer,
)

PARALLEL = 8
ANSWER_SECONDS = 90.0
"""Wait for the operator's answer to a request for results."""
_BLOCK = 256 * 1024
_OFFERS = 5
"""Offers of one download: each is asked for when the one before has expired."""
_TRIES = 5
"""Connections of one file that brought nothing."""
_HEX = frozenset("0123456789abcdef")
Progress = Callable[[int, int], None]


class Results:
    """The results of one job, by their path below the job's prefix in the store."""

    def __init__(
        self,
        jobs: JobsApi,
        name: str,
        private: bytes,
        *,
        round_number: int | None = None,
        parallel: int = PARALLEL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Asks for nothing yet.

        Args:
            jobs: The API, in the job's namespace.
            name: The job.
            private: The key that opens offers.
            round_number: A committed round whose files are wanted too.
            parallel: Requests at once.
            clock: Seconds, for the limit on waiting.
        """
        self._jobs = jobs
        self._name = name
        self._private = private
        self._round = round_number
        self._parallel = parallel
        self._clock = clock
        self._offer: ResultsOffer | None = None

    def objects(self) -> dict[str, Download]:
        """Everything that is there, by its path, such as `model_out/model.safetensors`.

        Raises:
            TransferStalledError: The operator does not answer.
            FedjobError: The job does not exist, or the cluster refuses.
        """
        return {each.path: each for each in self._current().objects}

    def read(self, path: str) -> bytes | None:
        """The bytes of one small object; None where there is none.

        Raises:
            StoreAnswerError: The store cannot be reached, or refuses.
        """
        for _ in range(_OFFERS):
            found = self.objects().get(path)
            if found is None:
                return None
            try:
                with self._route() as http, http.get(found.url) as answer:
                    data = answer.read()
            except OfferExpiredError:
                self._offer = None
            else:
                return bytes(data)
        raise _expired(self._name)

    def fetch(
        self,
        targets: Mapping[str, Path],
        *,
        sha256: Mapping[str, str] | None = None,
        progress: Progress = lambda done, total: None,
    ) -> list[str]:
        """Write objects to files; a file that is there with the right bytes is kept.

        Args:
            targets: Object path to the file that it is written to; folders are made.
            sha256: Expected digests, by object path, in hex.
            progress: Called with bytes done and in all, from several threads.

        Returns:
            The object paths that do not exist.

        Raises:
            FileChangedError: What arrives is not what the job names.
            StoreAnswerError: The store cannot be reached, or refuses.
        """
        left = dict(targets)
        expected = sha256 or {}
        for _ in range(_OFFERS):
            objects = self.objects()
            missing = [path for path in left if path not in objects]
            wanted = {path: objects[path] for path in left if path in objects}
            counter = _Counter(sum(each.size for each in wanted.values()), progress)
            with (
                self._route() as http,
                ThreadPoolExecutor(self._parallel, thread_name_prefix="download") as pool,
            ):
                futures = {
                    path: pool.submit(
                        fetch_file, http, each, left[path], expected.get(path), counter.add
                    )
                    for path, each in wanted.items()
                }
                try:
                    errors = {path: future.exception() for path, future in futures.items()}
                except BaseException:
                    http.stopped.set()
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise
            left = {p: left[p] for p, error in errors.items() if error is not None}
            others = [e for e in errors.values() if e and not isinstance(e, OfferExpiredError)]
            if others:
                raise others[0]
            if not left:
                return missing
            self._offer = None
        raise _expired(self._name)

    def _route(self) -> AbstractContextManager[StoreHttp]:
        offer = self._current()
        return store_route(self._jobs.api, offer.tunnel, parallel=self._parallel)

    def _current(self) -> ResultsOffer:
        # One that ends within a minute is not begun with.
        if self._offer is None or self._offer.expires < time.time() + 60:
            self._offer = self._ask()
        return self._offer

    def _ask(self) -> ResultsOffer:
        request = ResultsRequest(secrets.token_hex(8), self._round)
        notes = {
            KEY_ANNOTATION: public_key(self._private),
            RESULTS_ANNOTATION: request.text(),
        }
        self._jobs.patch(self._name, {"metadata": {"annotations": notes}})
        deadline = self._clock() + ANSWER_SECONDS
        for each in self._jobs.watch(self._name, deadline=deadline):
            if each.change is Change.DELETED:
                break
            answer = each.job.status.transfer.results if each.job.status.transfer else None
            if answer is None or answer.nonce != request.text():
                continue
            if not answer.sealed:
                problem = answer.message or "the operator offers no results"
                fix = "see `fedjob get`, and run the command again when a round is committed"
                raise InvalidInputError([Fault(self._name, problem, fix)])
            return _opened(each.job, answer.sealed, self._private)
        raise TransferStalledError(
            f"{self._name}: the operator has not answered for {ANSWER_SECONDS:.0f} s; see whether "
            f"it runs: `fedjob doctor`"
        )


def _opened(job: JobResource, sealed: str, private: bytes) -> ResultsOffer:
    return open_results_offer(sealed, private, job.uid)


def _expired(name: str) -> StoreAnswerError:
    return StoreAnswerError(
        f"{name}: the store refuses every URL that the operator signs; compare the clocks of "
        f"store and operator, and see the operator's log"
    )


class _Counter:
    """Bytes of several downloads together."""

    def __init__(self, total: int, progress: Progress) -> None:
        self._total = total
        self._progress = progress
        self._done = 0
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        with self._lock:
            self._done += count
            done = self._done
        self._progress(done, self._total)


def fetch_file(
    http: StoreHttp,
    source: Download,
    path: Path,
    sha256: str | None,
    moved: Callable[[int], None],
) -> None:
    """Write one object to a file, in one step; an interrupted download continues where it ended.

    Args:
        http: Connections to the store.
        source: The object.
        path: The file; its folder is made.
        sha256: Expected digest; None: that of the object's metadata, or its ETag, is compared.
        moved: Called with bytes that arrived.

    Raises:
        FileChangedError: The bytes are not the expected ones.
        OfferExpiredError: The URL is not accepted any more.
        StoreAnswerError: The store cannot be reached, or refuses.
    """
    if sha256 and path.is_file() and _sha256(path) == sha256:
        moved(source.size)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    mark = hashlib.sha256(f"{source.path}\0{source.etag}".encode()).hexdigest()[:16]
    part = path.with_name(f".{mark}.download")
    for last in (False, True):
        try:
            recorded = _receive(http, source, part, moved)
            _verify(source, part, sha256 or recorded)
            break
        except FileChangedError:
            # What an earlier process left may be of another file: once more from the beginning.
            moved(-part.stat().st_size)
            part.unlink(missing_ok=True)
            if last:
                raise
    sync(part)
    part.replace(path)


def _receive(
    http: StoreHttp, source: Download, part: Path, moved: Callable[[int], None]
) -> str | None:
    """The object's bytes into `part`, after those that are there; the digest in its metadata."""
    from urllib3.exceptions import HTTPError

    recorded: str | None = None
    empty = 0
    have = min(part.stat().st_size, source.size) if part.is_file() else 0
    moved(have)
    first = True
    while first or have < source.size:
        first = False
        before = have
        with open(part, "r+b" if part.is_file() else "w+b") as file:
            try:
                # The last byte is asked for again where all are there: a range needs one.
                start = min(have, max(source.size - 1, 0))
                with http.get(source.url, first=start, etag=source.etag) as answer:
                    if answer.status == 200 and start:
                        moved(-have)
                        start = have = before = 0
                    recorded = answer.headers.get("x-amz-meta-sha256") or recorded
                    file.seek(start)
                    position = start
                    for block in answer.stream(_BLOCK, decode_content=False):
                        if http.stopped.is_set():
                            raise StoreAnswerError(f"{source.path}: stopped")
                        file.write(block)
                        position += len(block)
                        moved(max(position - have, 0))
                        have = max(position, have)
                file.truncate(have)
            except (HTTPError, OSError) as error:
                empty = empty + 1 if have == before else 0
                if empty >= _TRIES or not isinstance(error, HTTPError | ConnectionError):
                    raise StoreAnswerError(
                        f"{source.path} breaks off again and again ({error}); the same command "
                        f"continues where this one stopped"
                    ) from error
    return recorded


def _verify(source: Download, part: Path, sha256: str | None) -> None:
    size = part.stat().st_size
    if size != source.size:
        raise FileChangedError(
            f"{source.path} has {size} bytes in place of {source.size}; run the command again"
        )
    if sha256 is not None:
        if _sha256(part) != sha256:
            raise FileChangedError(
                f"{source.path} is not the file whose SHA-256 is {sha256[:16]}...; run the command "
                f"again, and see who else writes to the job's prefix"
            )
        return
    etag = source.etag.strip('"')
    if len(etag) == 32 and set(etag) <= _HEX and etag != _digest(part, "md5"):
        raise FileChangedError(
            f"{source.path} has another MD5 than its ETag; run the command again"
        )


def _sha256(path: Path) -> str:
    return _digest(path, "sha256")


def _digest(path: Path, algorithm: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(
            file, lambda: hashlib.new(algorithm, usedforsecurity=False)
        ).hexdigest()


def under(folder: Path, paths: Iterable[str]) -> dict[str, Path]:
    """Where objects go that keep their names below a folder; none can lead out of it."""
    found = {}
    for path in paths:
        parts = PurePosixPath(path).parts
        if parts and ".." not in parts and not path.startswith("/"):
            found[path] = folder.joinpath(*parts)
    return found
