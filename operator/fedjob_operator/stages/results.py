"""The results stage: answers a request for results with presigned GETs, sealed for one client."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from fedjob.errors import InvalidInputError
from fedjob.protocol.sealing import parse_public_key
from fedjob.protocol.transfer import (
    MOST_REQUESTS,
    Download,
    ResultsOffer,
    ResultsRequest,
    Tunnel,
    seal_what_fits,
)
from fedjob.storage.bucket import Bucket
from fedjob.storage.objects import ObjectInfo
from fedjob.storage.owner import Owner, read_owner
from fedjob_operator.stages.job_store import JobStore
from fedjob_operator.state.transfers import Results, TransferAsk

MOST_LISTED = 20_000
"""Objects that are looked at under each prefix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultsJob:
    """The job whose results are asked for.

    Attributes:
        owner: The job.
        ask: What its annotations ask for; `want` is empty.
        url_seconds: Lifetime of a presigned URL.
        tunnel: How clients outside the cluster reach the store; None: by its URL.
    """

    owner: Owner
    ask: TransferAsk
    url_seconds: int
    tunnel: Tunnel | None = None


def offer_results(store: JobStore, signing: Bucket, job: ResultsJob, now: float) -> Results:
    """The answer to a request.

    Args:
        store: The job's store.
        signing: The job's bucket as clients reach it: a URL's host is signed.
        job: The job.
        now: Seconds since the epoch.

    Raises:
        StoreError: The store cannot be read.
    """
    request = ResultsRequest.parse(job.ask.results)
    if request is None:
        message = (
            "the annotation fedjob.dev/results-want is not NONCE or NONCE/round=N; write 1 to 64 "
            "letters, digits, `-` and `_`"
        )
        return Results(ask=job.ask, message=message)
    try:
        parse_public_key(job.ask.key)
    except InvalidInputError as error:
        return Results(ask=job.ask, message=str(error))
    found = _objects(store, job.owner, request)
    if not found:
        what = "the job has" if request.round is None else f"round {request.round} has"
        return Results(ask=job.ask, message=f"{what} no results yet; ask again later")
    chosen = found[:MOST_REQUESTS]
    expires = int(now) + job.url_seconds
    signed = [
        Download(
            path=info.key.removeprefix(store.layout.root),
            size=info.size,
            etag=info.etag,
            url=signing.presign_get(info.key, job.url_seconds),
        )
        for info in chosen
    ]

    def offer_of(objects: Sequence[Download]) -> ResultsOffer:
        return ResultsOffer(
            nonce=job.ask.results,
            expires=expires,
            objects=list(objects),
            omitted=len(found) - len(objects),
            endpoint=signing.location.endpoint,
            tunnel=job.tunnel,
        )

    sealed, count = seal_what_fits(offer_of, signed, job.ask.key, job.owner.uid)
    return Results(
        ask=job.ask, sealed=sealed, expires=expires, objects=count, omitted=len(found) - count
    )


def _objects(store: JobStore, owner: Owner, request: ResultsRequest) -> list[ObjectInfo]:
    """The model and report, the files of the round, then logs and other files, the newest first.

    What an earlier job of the name has left is not this job's result: it was written before this
    job took the prefix.
    """
    bucket, layout = store.bucket(), store.layout
    key = layout.owner
    recorded = read_owner(bucket, key)
    if recorded is None or not recorded.is_same_job(owner):
        return []
    since = recorded.taken
    results = _listed(bucket, layout.model_out, since)
    round_files = (
        _listed(bucket, layout.round(request.round), since) if request.round is not None else []
    )
    if request.round is not None and not any(
        layout.committed_round(info.key) is not None for info in round_files
    ):
        return []
    logs = _newest_first(_listed(bucket, layout.logs, since))
    others = [
        info
        for info in _newest_first(_listed(bucket, layout.files_out, since))
        if not info.key.startswith(layout.logs)
    ]
    return [*results, *round_files, *logs, *others]


def _listed(bucket: Bucket, prefix: str, since: float) -> list[ObjectInfo]:
    return [info for info in islice(bucket.list(prefix), MOST_LISTED) if info.modified >= since]


def _newest_first(found: list[ObjectInfo]) -> list[ObjectInfo]:
    return sorted(found, key=lambda info: (-info.modified, info.key))
