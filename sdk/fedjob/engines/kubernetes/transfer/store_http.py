"""Presigned requests over HTTP: retries, checksums and the way through a tunnel."""

from __future__ import annotations

import base64
import hashlib
import io
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import IO, TYPE_CHECKING, Any, BinaryIO, cast
from urllib.parse import urlsplit

from fedjob.backoff import Backoff
from fedjob.engines.kubernetes.transfer.errors import OfferExpiredError, StoreAnswerError

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, HTTPConnectionPool

RETRY = Backoff(0.3, 15.0, jitter=0.3)
ATTEMPTS = 8
"""Tries of one request: about 40 seconds of a store that does not answer."""
CONNECT_SECONDS = 10.0
READ_SECONDS = 120.0
_BLOCK = 256 * 1024
_SMALL = 1024 * 1024
"""Bodies up to this size are sent from memory, in one piece."""
_MD5 = re.compile(r"[0-9a-f]{32}")
_EXPIRED = re.compile(rb"<Code>(ExpiredToken|AccessDenied|RequestTimeTooSkewed|InvalidToken|"
                      rb"NoSuchUpload|SignatureDoesNotMatch)</Code>")  # fmt: skip
_CORRUPT = re.compile(rb"<Code>(BadDigest|InvalidDigest|IncompleteBody)</Code>")
Moved = Callable[[int], None]
"""Called with bytes that were sent since the last call; negative when they must be sent again."""


class StoreHttp(AbstractContextManager["StoreHttp"]):
    """Connections to the store of an offer; safe for use from several threads.

    Attributes:
        stopped: When set, transfers end at their next block.
    """

    def __init__(
        self,
        *,
        parallel: int,
        local_port: int | None = None,
        sleep: Callable[[float], None] = time.sleep,
        stopped: threading.Event | None = None,
    ) -> None:
        """Connects when first used.

        Args:
            parallel: Connections at once.
            local_port: Port of 127.0.0.1 where a tunnel to the store begins; None: the URLs' host.
            sleep: Waits between tries.
            stopped: Ends transfers when it is set.
        """
        self._parallel = parallel
        self._local_port = local_port
        self._sleep = sleep
        self.stopped = stopped or threading.Event()
        self._pools: dict[tuple[str, str], HTTPConnectionPool] = {}
        self._lock = threading.Lock()

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close idle connections."""
        with self._lock:
            pools, self._pools = self._pools, {}
        for pool in pools.values():
            pool.close()

    def put(
        self,
        url: str,
        headers: Mapping[str, str],
        source: Callable[[], BinaryIO],
        *,
        offset: int,
        length: int,
        moved: Moved,
    ) -> None:
        """Send a range of a file, and check that the store has what was sent.

        The store refuses a body that does not match Content-MD5; its ETag is compared as well.

        Args:
            url: The presigned PUT.
            headers: Of the offer.
            source: Opens the file.
            offset: Where the range begins.
            length: Its bytes.
            moved: Called with bytes that were sent.

        Raises:
            OfferExpiredError: The URL is not accepted any more.
            StoreAnswerError: The store refuses it, or does not answer in `ATTEMPTS` tries.
            OSError: The file cannot be read.
        """
        with source() as opened:
            file: BinaryIO = opened
            if length <= _SMALL:  # read once, also for several tries
                file.seek(offset)
                file, offset = io.BytesIO(file.read(length)), 0
            digest = _md5(file, offset, length)
            sent = {
                **headers,
                "Content-Length": str(length),
                "Content-MD5": base64.b64encode(digest).decode(),
            }
            for attempt in range(1, ATTEMPTS + 1):
                body = _Range(file, offset, length, moved, self.stopped)
                try:
                    problem = self._put_once(url, sent, body, digest.hex())
                except BaseException:
                    moved(-body.counted)
                    raise
                if problem is None:
                    moved(length - body.counted)
                    return
                moved(-body.counted)
                self._pause(attempt, problem, url)

    def _put_once(self, url: str, headers: Mapping[str, str], body: _Range, md5: str) -> str | None:
        """What went wrong and may be tried again; None where nothing did."""
        from urllib3.exceptions import HTTPError

        pool, target, host = self._pool(url)
        try:
            answer = pool.urlopen(
                "PUT", target,
                body=body.whole() if body.length <= _SMALL else cast("IO[bytes]", body),
                headers={**headers, "Host": host}, retries=False, redirect=False,
            )  # fmt: skip
        except (HTTPError, ConnectionError) as error:
            return str(error)
        if answer.status == 200:
            etag = answer.headers.get("ETag", "").strip('"')
            # Under KMS an ETag is not the MD5 of the bytes.
            if _MD5.fullmatch(etag) and etag != md5 and not _encrypted(answer):
                return f"the store has other bytes than were sent (ETag {etag}, MD5 {md5})"
            return None
        return self._problem(answer.status, answer.data, url)

    @contextmanager
    def get(self, url: str, *, first: int = 0, etag: str = "") -> Iterator[BaseHTTPResponse]:
        """An object's bytes from `first` on, as an answer to be streamed.

        Args:
            url: The presigned GET.
            first: Bytes that are there already.
            etag: The object must still be this one when `first` is above 0.

        Raises:
            OfferExpiredError: The URL is not accepted any more.
            StoreAnswerError: The store refuses it, or does not answer in `ATTEMPTS` tries.
        """
        from urllib3.exceptions import HTTPError

        headers: dict[str, str] = {}
        if first:
            headers = {"Range": f"bytes={first}-", **({"If-Match": etag} if etag else {})}
        for attempt in range(1, ATTEMPTS + 1):
            pool, target, host = self._pool(url)
            problem: str | None
            try:
                answer = pool.urlopen(
                    "GET", target, headers={**headers, "Host": host},
                    retries=False, redirect=False, preload_content=False,
                )  # fmt: skip
            except (HTTPError, ConnectionError) as error:
                problem = str(error)
            else:
                if answer.status in (200, 206):
                    try:
                        yield answer
                    finally:
                        answer.close()
                        answer.release_conn()
                    return
                problem = self._problem(answer.status, answer.data, url)
            self._pause(attempt, problem or "", url)

    def _problem(self, status: int, body: bytes, url: str) -> str | None:
        """The text of an answer that may be different next time."""
        text = body[:300].decode("utf-8", "replace")
        if status >= 500 or status in (408, 429) or _CORRUPT.search(body):
            return f"the store answers {status}: {text}"
        # 412: another object has this key by now, which a new offer names.
        if status in (403, 412) or _EXPIRED.search(body):
            raise OfferExpiredError(f"the store answers {status}: {text}")
        raise StoreAnswerError(
            f"the store {urlsplit(url).netloc} refuses {urlsplit(url).path} ({status}: {text}); "
            f"see the store's log, and `fedjob doctor`"
        )

    def _pause(self, attempt: int, problem: str, url: str) -> None:
        if attempt == ATTEMPTS or self.stopped.is_set():
            raise StoreAnswerError(
                f"the store {urlsplit(url).netloc} fails again and again ({problem}); see whether "
                f"this machine reaches it, and `fedjob doctor`; the same command continues where "
                f"this one stopped"
            )
        self._sleep(RETRY.delay(attempt, random.random()))  # noqa: S311 (jitter)

    def _pool(self, url: str) -> tuple[HTTPConnectionPool, str, str]:
        """The connections for a URL, the path to ask for, and the Host header."""
        from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
        from urllib3.util import Timeout

        parts = urlsplit(url)
        key = (parts.scheme, parts.netloc)
        with self._lock:
            pool = self._pools.get(key)
            if pool is None:
                host, port = parts.hostname or "", parts.port
                more: dict[str, Any] = {}
                if self._local_port is not None:
                    if parts.scheme == "https":
                        more = {"server_hostname": host, "assert_hostname": host}
                    host, port = "127.0.0.1", self._local_port
                kind = HTTPSConnectionPool if parts.scheme == "https" else HTTPConnectionPool
                pool = kind(
                    host, port, maxsize=self._parallel, blocksize=_BLOCK,
                    timeout=Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS), **more,
                )  # fmt: skip
                self._pools[key] = pool
        return pool, f"{parts.path}?{parts.query}", parts.netloc


class _Range:
    """A range of a file as a request's body, which counts what is read of it."""

    def __init__(
        self, file: BinaryIO, offset: int, length: int, moved: Moved, stopped: threading.Event
    ) -> None:
        self.length = length
        self._stopped = stopped
        self.counted = 0
        self._file = file
        self._moved = moved
        file.seek(offset)

    def read(self, size: int = -1) -> bytes:
        if self._stopped.is_set():
            raise ConnectionAbortedError("stopped")
        left = self.length - self.counted
        data = self._file.read(left if size < 0 else min(size, left))
        self.counted += len(data)
        self._moved(len(data))
        return data

    def whole(self) -> bytes:
        """All of it."""
        return self.read()


def _md5(file: BinaryIO, offset: int, length: int) -> bytes:
    digest = hashlib.md5(usedforsecurity=False)
    file.seek(offset)
    left = length
    while left and (block := file.read(min(left, _SMALL))):
        digest.update(block)
        left -= len(block)
    return digest.digest()


def _encrypted(answer: BaseHTTPResponse) -> bool:
    return any(
        name.lower().startswith("x-amz-server-side-encryption") and value != "AES256"
        for name, value in answer.headers.items()
    )
