"""The uploads stage: looks at what a client has sent, finishes it, and offers URLs for the rest.

The store is the only memory: which files are complete (size and SHA-256), which multipart uploads
are open and which parts they have. A new process reads all of it again, so the operator may end at
any point.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from fedjob.errors import Fault, InvalidInputError
from fedjob.formats import epoch
from fedjob.protocol.transfer import (
    MOST_REQUESTS,
    SHARDS,
    WHOLE,
    ExpectedFile,
    Part,
    Tunnel,
    UploadOffer,
    UploadRequest,
    parts_of,
    seal_what_fits,
)
from fedjob.reasons import Reason
from fedjob.storage.bucket import Bucket
from fedjob.storage.client_uploads import ClientUploads, OpenUpload, StoredPart
from fedjob.storage.owner import Owner, read_owner
from fedjob_operator.stages.errors import InputError
from fedjob_operator.stages.job_store import JobStore
from fedjob_operator.stages.ownership import MayAct, take_ownership
from fedjob_operator.state.transfers import SealedUpload, TransferAsk, Uploads

LEAST_SECONDS = 2.0
"""Between two looks at the store while bytes arrive."""
OFFERED_SECONDS = 10.0
"""The longest time between two looks while a client has URLs."""
IDLE_SECONDS = 60.0
"""The longest time between two looks while none has; an annotation makes the next one due."""
_BLOCK = 4 << 20
"""Bytes of a file that are held in memory while it is read."""
_SMALLER_SHARDS = "make the shards smaller, or put them into S3 and name them with spec.shards.uri"
_SMALLER_MODEL = "put it into S3 and name it with spec.model.checkpoint"
SHARE = 5.0
"""A look takes a fifth of the time at most, so that a job of many files blocks no others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadLimits:
    """What a client may upload for one job.

    Attributes:
        file_bytes: Bytes of one file.
        total_bytes: Bytes of all files.
        days: From the job's creation, in which its files must arrive.
        url_seconds: Lifetime of a presigned URL; it is renewed at half of that.
    """

    file_bytes: int
    total_bytes: int
    days: float
    url_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadJob:
    """The job whose uploads are looked at.

    Attributes:
        owner: The job.
        files: What it waits for.
        ask: What its annotations ask for; `results` is empty.
        tunnel: How clients outside the cluster reach the store; None: by its URL.
    """

    owner: Owner
    files: Sequence[ExpectedFile]
    ask: TransferAsk
    tunnel: Tunnel | None = None


@dataclass(frozen=True, slots=True)
class _Missing:
    """A range that has not arrived; `upload_id` is empty where the file goes whole."""

    file: ExpectedFile
    part: Part
    upload_id: str = ""

    @property
    def name(self) -> tuple[str, int, str]:
        return self.file.path, self.part.number, self.upload_id


def check_limits(files: Sequence[ExpectedFile], limits: UploadLimits) -> None:
    """Refuses files that are larger than the operator allows.

    Raises:
        InputError: Names each file.
    """
    faults = [
        Fault(
            file.path,
            f"has {file.size} bytes, the operator allows {limits.file_bytes}",
            _SMALLER_SHARDS if file.path.startswith(SHARDS) else _SMALLER_MODEL,
        )
        for file in files
        if file.size > limits.file_bytes
    ]
    total = sum(file.size for file in files)
    if total > limits.total_bytes:
        problem = f"has {total} bytes in all, the operator allows {limits.total_bytes}"
        faults.append(Fault(_field(files), problem, _SMALLER_SHARDS))
    if faults:
        raise InputError(Reason.UPLOAD_TOO_LARGE, InvalidInputError(faults[:20]))


def _field(files: Sequence[ExpectedFile]) -> str:
    """The field of the spec that names the files; that of the shards where there are any."""
    shards = any(file.path.startswith(SHARDS) for file in files)
    return "spec.shards.upload" if shards else "spec.model.upload"


def look_at_uploads(
    store: JobStore,
    job: UploadJob,
    limits: UploadLimits,
    *,
    signing: Bucket,
    may_act: MayAct,
    before: Uploads | None,
    now: float,
) -> Uploads:
    """What has arrived, after everything that can be finished was.

    Args:
        store: The job's store.
        job: The job.
        limits: What it may upload.
        signing: The job's bucket as clients reach it: a URL's host is signed.
        may_act: Called before every change of the store.
        before: What this process saw last; None at first.
        now: Seconds since the epoch.

    Raises:
        InputError: A file is too large, the days are over, or the annotation is not a public key.
        StageError: A later job of the same name owns the prefix.
        StoreError: The store cannot be used.
    """
    check_limits(job.files, limits)
    created = epoch(job.owner.created)
    if created is not None and now > created + limits.days * 86400:
        abort_uploads(store, job.owner, may_act)
        fix = "delete the job and submit it again: complete files are not sent again"
        problem = f"has not arrived in {limits.days:g} days"
        fault = Fault(_field(job.files), problem, fix)
        raise InputError(Reason.UPLOAD_EXPIRED, InvalidInputError([fault]))
    bucket, root = store.bucket(), store.layout.root
    if before is None:
        take_ownership(bucket, store.layout, job.owner, may_act, uploads=True)
    verified = _arrived(bucket, root, job.files, before.verified if before is not None else {})
    waiting = [file for file in job.files if file.path not in verified]
    missing = [_Missing(file, Part(0, 0, file.size)) for file in waiting if file.size <= WHOLE]
    large = [file for file in waiting if file.size > WHOLE]
    partial, complete = 0, []
    uploads = bucket.client_uploads()
    opened = _opened(uploads, root, may_act) if large else {}
    for file in large:
        key = root + file.path
        upload = opened.get(key)
        if upload is None:
            may_act()
            upload = OpenUpload(key, uploads.start(key, file.sha256), now)
        arrived = uploads.parts(upload)
        if arrived is None:
            continue  # it ended meanwhile: the next look finds out how
        right, absent = _compare(file, arrived)
        partial += sum(part.size for part in right)
        missing += [_Missing(file, part, upload.upload_id) for part in absent]
        if not absent:
            may_act()
            uploads.complete(upload, right)
            complete.append(file)
            partial -= file.size
    verified |= _arrived(bucket, root, complete, {})
    found = Uploads(
        checked=now,
        interval=LEAST_SECONDS,
        verified=verified,
        bytes=sum(file.size for file in job.files if file.path in verified) + partial,
        total_files=len(job.files),
        total_bytes=sum(file.size for file in job.files),
        ask=job.ask,
    )
    offer = _offer_for(signing, root, job, missing, limits=limits, before=before, found=found)
    unused = bool(missing) and bool(job.ask.key) and offer is None
    return replace(
        found,
        offer=offer,
        interval=_interval(before, found, offer),
        lapsed=unused,
    )


def abort_uploads(store: JobStore, owner: Owner, may_act: MayAct) -> int:
    """Removes the unfinished uploads of a job that is gone, or too old; returns how many.

    They are listed before the owner is read: a later job of the name takes the prefix before it
    starts an upload, so none of its uploads is among them.

    Args:
        store: The job's store.
        owner: The job.
        may_act: Called before every change of the store.

    Raises:
        StoreError: The store cannot be used.
    """
    bucket, layout = store.bucket(), store.layout
    uploads = bucket.client_uploads()
    opened = list(uploads.open(layout.root))
    recorded = read_owner(bucket, layout.owner) if opened else None
    if recorded is None or not recorded.is_same_job(owner):
        return 0
    for upload in opened:
        may_act()
        uploads.abort(upload)
    return len(opened)


def remove_refused(store: JobStore, files: Sequence[ExpectedFile], may_act: MayAct) -> list[str]:
    """Reads every large file, and deletes those with other bytes than announced.

    Parts carry no checksum of the file, so a client may announce one file and send another; a
    worker finds that out. As long as the object is there, the announced file would never be sent:
    the object has its size and its SHA-256 as metadata.

    Args:
        store: The job's store.
        files: What the job has announced.
        may_act: Called before every deletion.

    Returns:
        The paths of deleted files.

    Raises:
        StoreError: The store cannot be used.
    """
    bucket, root = store.bucket(), store.layout.root
    removed = []
    for file in files:
        key = root + file.path
        info = bucket.head(key) if file.size > WHOLE else None
        if info is None or info.sha256 != file.sha256:
            continue  # not there, or another file, which is not skipped
        digest = hashlib.sha256()
        with bucket.open_seekable(key) as content:
            while block := content.read(_BLOCK):
                digest.update(block)
        now = bucket.head(key)
        if digest.hexdigest() == file.sha256 or now is None or now.etag != info.etag:
            continue
        may_act()
        bucket.delete(key)
        removed.append(file.path)
    return removed


def _arrived(
    bucket: Bucket, root: str, files: Sequence[ExpectedFile], known: Mapping[str, str]
) -> dict[str, str]:
    """The ETag of each file that is in the store with its size and SHA-256 (row 39), by path."""
    folders = {file.path.partition("/")[0] for file in files}
    expected = {root + file.path for file in files}
    listed = {
        info.key: info
        for name in folders
        for info in bucket.list(f"{root}{name}/")
        if info.key in expected
    }
    found = {}
    for file in files:
        info = listed.get(root + file.path)
        if info is None or info.size != file.size:
            continue
        if known.get(file.path) == info.etag:
            found[file.path] = info.etag
            continue
        head = bucket.head(info.key)
        if head is not None and (head.sha256, head.size) == (file.sha256, file.size):
            found[file.path] = info.etag
    return found


def _opened(uploads: ClientUploads, root: str, may_act: MayAct) -> dict[str, OpenUpload]:
    """The open upload of each key: of several, which two operators may start, the first."""
    chosen: dict[str, OpenUpload] = {}
    for upload in sorted(uploads.open(root), key=lambda each: (each.started, each.upload_id)):
        if upload.key in chosen:
            may_act()
            uploads.abort(upload)
        else:
            chosen[upload.key] = upload
    return chosen


def _compare(
    file: ExpectedFile, arrived: Sequence[StoredPart]
) -> tuple[list[StoredPart], list[Part]]:
    """The parts that have arrived as they should, and those that have not."""
    by_number = {part.number: part for part in arrived}
    right, absent = [], []
    for part in parts_of(file.size):
        there = by_number.get(part.number)
        if there is not None and there.size == part.length:
            right.append(there)
        else:
            absent.append(part)
    return right, absent


def _offer_for(
    signing: Bucket,
    root: str,
    job: UploadJob,
    missing: Sequence[_Missing],
    *,
    limits: UploadLimits,
    before: Uploads | None,
    found: Uploads,
) -> SealedUpload | None:
    """The offer to publish: the last one while it serves, else another."""
    last, now = (before.offer if before is not None else None), found.checked
    if not missing or not job.ask.key:
        return None
    if last is None and before is not None and before.lapsed and before.ask == job.ask:
        return None  # the client that asked this is gone
    if last is None or last.ask != job.ask:
        return _offer(
            signing, root, job, missing, seconds=limits.url_seconds, last=last, found=found
        )
    names = {each.name for each in missing}
    left = names & last.requests
    enough = left == names or 2 * len(left) >= len(last.requests)
    if enough and now < last.expires - limits.url_seconds / 2:
        return last
    if enough and found.bytes == last.bytes:
        # Nothing has arrived by these URLs: their client is gone, or so slow that it asks again.
        return last if now < last.expires else None
    return _offer(signing, root, job, missing, seconds=limits.url_seconds, last=last, found=found)


def _offer(
    signing: Bucket,
    root: str,
    job: UploadJob,
    missing: Sequence[_Missing],
    *,
    seconds: int,
    last: SealedUpload | None,
    found: Uploads,
) -> SealedUpload:
    now = int(found.checked)
    sequence = max(now, last.sequence + 1 if last is not None else 0)
    chosen = list(missing[:MOST_REQUESTS])
    uploads = signing.client_uploads()
    signed = [_request(uploads, root, each, seconds) for each in chosen]

    def offer_of(requests: Sequence[UploadRequest]) -> UploadOffer:
        return UploadOffer(
            sequence=sequence,
            expires=now + seconds,
            requests=list(requests),
            endpoint=signing.location.endpoint,
            tunnel=job.tunnel,
        )

    sealed, count = seal_what_fits(offer_of, signed, job.ask.key, job.owner.uid)
    return SealedUpload(
        ask=job.ask,
        sealed=sealed,
        sequence=sequence,
        expires=now + seconds,
        requests=frozenset(each.name for each in chosen[:count]),
        bytes=found.bytes,
    )


def _request(uploads: ClientUploads, root: str, missing: _Missing, seconds: int) -> UploadRequest:
    file, part = missing.file, missing.part
    key = root + file.path
    if part.number:
        signed = uploads.presign_part(
            key, missing.upload_id, part.number, size=part.length, seconds=seconds
        )
    else:
        signed = uploads.presign_put(key, size=file.size, sha256=file.sha256, seconds=seconds)
    return UploadRequest(
        path=file.path,
        part=part.number,
        offset=part.offset,
        length=part.length,
        url=signed.url,
        headers=signed.headers,
    )


def _interval(before: Uploads | None, found: Uploads, offer: SealedUpload | None) -> float:
    """Seconds until the next look: soon while bytes arrive, later and later while none do."""
    changed = before is None or (before.bytes, before.offer) != (found.bytes, offer)
    if changed:
        return LEAST_SECONDS
    most = OFFERED_SECONDS if offer is not None else IDLE_SECONDS
    return min(most, before.interval * 2 if before is not None else LEAST_SECONDS)
