"""Uploads and downloads by clients without keys: which stages are due, and what the status says."""

from __future__ import annotations

from dataclasses import replace

from fedjob.formats import epoch, rfc3339, share
from fedjob.protocol.transfer import (
    KEY_ANNOTATION,
    RESULTS_ANNOTATION,
    SHARDS,
    WANT_ANNOTATION,
    expected_files,
)
from fedjob.reasons import Reason
from fedjob.spec.models.job import FederatedJob
from fedjob.spec.models.status import (
    ResultsStatus,
    TransferCount,
    TransferStatus,
    UploadStatus,
)
from fedjob_operator.planning.job_view import JobView
from fedjob_operator.state.actions import Actions
from fedjob_operator.state.observed import Stage
from fedjob_operator.state.pod_status import termination_message
from fedjob_operator.state.transfers import TransferAsk

_LONGEST_ASK = 128
"""Characters of an annotation that count."""


def upload_ask(job: FederatedJob) -> TransferAsk:
    """What the annotations ask for of uploads."""
    key, want = _annotation(job, KEY_ANNOTATION), _annotation(job, WANT_ANNOTATION)
    return TransferAsk(key=key, want=want)


def results_ask(job: FederatedJob) -> TransferAsk:
    """What the annotations ask for of results."""
    key, results = _annotation(job, KEY_ANNOTATION), _annotation(job, RESULTS_ANNOTATION)
    return TransferAsk(key=key, results=results)


def upload_wait(view: JobView) -> float | None:
    """Seconds until the store must be looked at for uploads; None where all have arrived."""
    if not expected_files(view.job.spec):
        return None
    seen = view.observations.uploads
    if seen is None:
        return 0.0
    if seen.complete:
        return None
    ask = upload_ask(view.job)
    return 0.0 if ask != seen.ask else max(0.0, seen.checked + seen.interval - view.now)


def unfinished_uploads(view: JobView) -> bool:
    """Whether the store may hold parts of files that have not arrived."""
    status = _upload_status(view)
    return status is not None and status.done.files < status.total.files


def refused_upload(view: JobView) -> bool:
    """Whether a worker has found other bytes in an uploaded shard than the job announces."""
    if view.job.spec.shards.upload is None:
        return False
    messages = (termination_message(pod) for pods in view.pods.values() for pod in pods)
    return any(m is not None and m.get("reason") == Reason.CHECKSUM_MISMATCH for m in messages)


def results_due(view: JobView) -> bool:
    """Whether a request for results has not been answered yet.

    The status is asked too: an operator that starts would else answer every old request again.
    """
    ask = results_ask(view.job)
    if not ask.results:
        return False
    answer = view.observations.results
    if answer is not None:
        return answer.ask != ask
    published = _published(view).results
    return published is None or published.nonce != ask.results


def results_wait(view: JobView) -> float | None:
    """Seconds until the offer of results expires and leaves the status; None where there is none.

    An offer of an earlier process counts as well.
    """
    answer, published = view.observations.results, _published(view).results
    if answer is not None:
        ends = float(answer.expires)
    elif published is not None and published.sealed and published.expires:
        ends = epoch(published.expires) or 0.0
    else:
        return None
    return ends - view.now if ends > view.now else None


def transfer_status(view: JobView) -> TransferStatus | None:
    """The part of the status about transfers; None where the job has none."""
    upload, results = _upload_status(view), _results_status(view)
    if upload is None and results is None:
        return None
    return TransferStatus(upload=upload, results=results)


def upload_message(view: JobView) -> str:
    """Progress for people: `Uploading 3/5 shards, 1.2 of 4.0 GB`; empty for a job without any.

    Where a file of the model is sent too, it counts `files`.
    """
    status, seen = _upload_status(view), view.observations.uploads
    if status is None:
        return ""
    done, total = status.done, status.total
    only_shards = all(file.path.startswith(SHARDS) for file in expected_files(view.job.spec))
    what = "shards" if only_shards else "files"
    text = f"Uploading {done.files}/{total.files} {what}, {share(done.bytes, total.bytes)}"
    if not upload_ask(view.job).key or (seen is not None and seen.lapsed):
        text += "; no client is sending: run `fedjob submit FILE --shards DIR` again, it continues"
    return text


def _upload_status(view: JobView) -> UploadStatus | None:
    files = expected_files(view.job.spec)
    if not files:
        return None
    total = TransferCount(files=len(files), bytes=sum(file.size for file in files))
    seen, offer = view.observations.uploads, None
    if seen is None and (view.record.prepared or view.observations.prepared) is not None:
        done = total  # all of them had arrived, and were read
    elif seen is None:
        published = _published(view).upload
        done = published.done if published is not None else TransferCount()
    else:
        done, offer = TransferCount(files=len(seen.verified), bytes=seen.bytes), seen.offer
    if offer is None or view.now >= offer.expires:
        return UploadStatus(done=done, total=total)
    return UploadStatus(
        sealed=offer.sealed,
        sequence=offer.sequence,
        expires=rfc3339(offer.expires),
        done=done,
        total=total,
    )


def _results_status(view: JobView) -> ResultsStatus | None:
    ask = results_ask(view.job)
    if not ask.results:
        return None
    answer, published = view.observations.results, _published(view).results
    if answer is None:
        if published is None or not published.sealed:
            return published
        live = (epoch(published.expires) or 0.0) > view.now
        return published if live else published.model_copy(update={"sealed": None})
    live = bool(answer.sealed) and answer.expires > view.now
    return ResultsStatus(
        nonce=answer.ask.results,
        sealed=answer.sealed if live else None,
        expires=rfc3339(answer.expires) if answer.sealed else None,
        objects=answer.objects,
        omitted=answer.omitted,
        message=answer.message[:1024] or None,
    )


def with_results(view: JobView, actions: Actions) -> Actions:
    """The plan, with the answer to a request for results: of a job in any state."""
    waits = [wait for wait in (actions.again, results_wait(view)) if wait is not None]
    problem = view.observations.problems.get(Stage.RESULTS)
    stages = actions.stages
    if results_due(view):
        if problem is None or problem.retry_at <= view.now:
            stages |= {Stage.RESULTS}
        else:
            waits.append(problem.retry_at - view.now)
    return replace(actions, stages=stages, again=min(waits, default=None))


def _published(view: JobView) -> TransferStatus:
    return TransferStatus.model_validate(view.status.get("transfer") or {})


def _annotation(job: FederatedJob, name: str) -> str:
    return job.metadata.annotations.get(name, "")[:_LONGEST_ASK]
