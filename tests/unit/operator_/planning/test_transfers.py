"""When the store is looked at for uploads, and what the status says of transfers."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from fedjob.formats import rfc3339
from fedjob.protocol.transfer import KEY_ANNOTATION, RESULTS_ANNOTATION, WANT_ANNOTATION
from fedjob.reasons import Reason
from fedjob.spec.models.job import FederatedJob
from fedjob.spec.models.upload import ModelUpload, UploadCheckpoint
from fedjob_operator.naming import Body
from fedjob_operator.planning.job_view import JobView
from fedjob_operator.planning.preparation import (
    image_digest,
    inputs_digest,
    spec_digest,
)
from fedjob_operator.planning.transfers import refused_upload, unfinished_uploads
from fedjob_operator.state.actions import Actions
from fedjob_operator.state.observed import Observations, Observed, Problem, Stage
from fedjob_operator.state.record import Failure, Record
from fedjob_operator.state.transfers import Results, SealedUpload, TransferAsk, Uploads
from support.operator.runs import condition
from support.operator.samples import (
    NOW,
    a_job,
    observations_of,
    observed_of,
    plan_for,
    prepared_of,
    running,
    simulate,
    with_pod,
)

MB = 10**6
FILES = [
    {"name": f"s{index}.zip", "sha256": f"{index:x}" * 64, "size": 800 * MB} for index in range(5)
]
KEY = "key-of-the-client"
ASK = TransferAsk(key=KEY, want="1")


def uploaded_job(**annotations: str) -> FederatedJob:
    job = a_job(shards={"upload": {"files": FILES}})
    meta = job.metadata.model_copy(update={"annotations": annotations})
    return job.model_copy(update={"metadata": meta})


JOB = uploaded_job(**{KEY_ANNOTATION: KEY, WANT_ANNOTATION: "1"})
OFFER = SealedUpload(
    ask=ASK, sealed="c2VhbGVk", sequence=7, expires=int(NOW) + 3600, requests=frozenset(), bytes=0
)


def seen(**changes: Any) -> Uploads:
    fields: dict[str, Any] = {
        "checked": NOW,
        "interval": 2.0,
        "verified": {f"shards/s{index}.zip": '"e"' for index in range(3)},
        "bytes": 2650 * MB,
        "total_files": 5,
        "total_bytes": 4000 * MB,
        "ask": ASK,
        "offer": OFFER,
    }
    return Uploads(**{**fields, **changes})


COMPLETE = seen(verified={f"shards/s{i}.zip": "" for i in range(5)}, bytes=4000 * MB, offer=None)


def planned(observed: Observed, now: float = NOW, job: FederatedJob = JOB) -> Actions:
    return plan_for(job, observed, now)


def status_of(actions: Actions) -> Body:
    assert actions.status is not None
    return actions.status


def test_uploads_come_before_everything_else() -> None:
    actions = planned(observed_of(JOB, Observations()))
    assert actions.stages == {Stage.UPLOADS}
    assert status_of(actions)["state"] == "Uploading"
    assert not actions.create
    assert planned(observed_of(JOB, Observations(uploads=COMPLETE))).stages == {Stage.INPUTS}


def test_the_store_is_looked_at_in_intervals_and_when_the_client_asks() -> None:
    waiting = observed_of(JOB, Observations(uploads=seen()))
    actions = planned(waiting, NOW + 0.5)
    assert actions.stages == frozenset()
    assert actions.again == pytest.approx(1.5)
    assert planned(waiting, NOW + 2).stages == {Stage.UPLOADS}
    for changes in ({WANT_ANNOTATION: "2"}, {KEY_ANNOTATION: "other"}):
        job = uploaded_job(**{KEY_ANNOTATION: KEY, WANT_ANNOTATION: "1"} | changes)
        again = observed_of(job, Observations(uploads=seen(interval=60.0)))
        assert planned(again, NOW + 0.5, job).stages == {Stage.UPLOADS}


def test_progress_counts_files_where_the_model_is_sent_too() -> None:
    job = uploaded_job(**{KEY_ANNOTATION: KEY, WANT_ANNOTATION: "1"})
    sent = ModelUpload(checkpoint=UploadCheckpoint(suffix=".pt", sha256="0" * 64, size=4000 * MB))
    model = job.spec.model.model_copy(update={"upload": sent})
    job = job.model_copy(update={"spec": job.spec.model_copy(update={"model": model})})
    observed = observed_of(job, Observations(uploads=seen(total_files=6)))
    message = status_of(planned(observed, job=job))["message"]
    assert message == "Uploading 3/6 files, 2.6 of 8.0 GB"


def test_progress_is_in_the_status_with_the_offer() -> None:
    status = status_of(planned(observed_of(JOB, Observations(uploads=seen()))))
    message = "Uploading 3/5 shards, 2.6 of 4.0 GB"
    assert (status["state"], status["reason"], status["message"]) == (
        "Uploading",
        "Uploading",
        message,
    )
    assert condition(status, "Accepted")["message"] == message
    assert status["transfer"] == {
        "upload": {
            "sealed": "c2VhbGVk",
            "sequence": 7,
            "expires": rfc3339(NOW + 3600),
            "done": {"files": 3, "bytes": 2650 * MB},
            "total": {"files": 5, "bytes": 4000 * MB},
        }
    }


@pytest.mark.parametrize(
    ("job", "uploads"),
    [(uploaded_job(), seen(ask=TransferAsk(), offer=None)), (JOB, seen(offer=None, lapsed=True))],
    ids=["no client yet", "client is gone"],
)
def test_a_job_without_a_client_says_how_to_continue(job: FederatedJob, uploads: Uploads) -> None:
    status = status_of(planned(observed_of(job, Observations(uploads=uploads)), job=job))
    assert status["message"].endswith("run `fedjob submit FILE --shards DIR` again, it continues")
    assert "sealed" not in status["transfer"]["upload"]


def test_an_expired_offer_leaves_the_status() -> None:
    late = planned(observed_of(JOB, Observations(uploads=seen())), NOW + 3601)
    assert "sealed" not in status_of(late)["transfer"]["upload"]


def test_problem_of_uploads_is_the_state_s_reason() -> None:
    problem = Problem(Reason.UPLOAD_TOO_LARGE, "smaller files", NOW + 9, made_from=spec_digest(JOB))
    actions = planned(observed_of(JOB, Observations(problems={Stage.UPLOADS: problem})))
    assert actions.stages == frozenset()
    assert actions.again == pytest.approx(9)
    status = status_of(actions)
    assert (status["state"], status["reason"]) == ("Pending", "UploadTooLarge")


def test_after_its_inputs_were_read_a_job_needs_no_uploads() -> None:
    """Also in a process that has not looked at the store."""
    actions = planned(observed_of(JOB, observations_of(JOB)))
    assert not actions.stages & {Stage.UPLOADS, Stage.INPUTS}
    upload = status_of(actions)["transfer"]["upload"]
    assert upload["done"] == upload["total"] == {"files": 5, "bytes": 4000 * MB}


def test_progress_survives_a_restart_of_the_operator() -> None:
    before = {"transfer": {"upload": {"done": {"files": 3, "bytes": 5}, "total": {"files": 5}}}}
    observed = observed_of(JOB, Observations())
    observed = replace(observed, body={**observed.body, "status": before})
    status = status_of(planned(observed))
    assert status["transfer"]["upload"]["done"] == {"files": 3, "bytes": 5}
    assert status["message"].startswith("Uploading 3/5 shards")


def test_a_job_without_transfers_has_none_in_its_status() -> None:
    job = a_job()
    assert "transfer" not in status_of(planned(observed_of(job), job=job))


def asking(nonce: str = "n1") -> FederatedJob:
    job = a_job()
    annotations = {KEY_ANNOTATION: KEY, RESULTS_ANNOTATION: nonce}
    meta = job.metadata.model_copy(update={"annotations": annotations})
    return job.model_copy(update={"metadata": meta})


ANSWER = Results(
    ask=TransferAsk(key=KEY, results="n1"), sealed="cg==", expires=int(NOW) + 600, objects=4
)


@pytest.mark.parametrize("state", ["running", "suspended", "failed"])
def test_results_are_offered_in_every_state(state: str) -> None:
    job = asking()
    if state == "suspended":
        policy = job.spec.run_policy.model_copy(update={"suspend": True})
        job = job.model_copy(update={"spec": job.spec.model_copy(update={"run_policy": policy})})
    observed = observed_of(job)
    if state == "failed":
        failure = Failure(reason="X", message="x", spec=spec_digest(job), time=NOW, settled=True)
        observed = with_record(observed, job, Record(failure=failure, prepared=prepared_of(job)))
    assert Stage.RESULTS in planned(observed, job=job).stages
    known = replace(observed, observations=replace(observed.observations, results=ANSWER))
    actions = planned(known, job=job)
    assert Stage.RESULTS not in actions.stages
    assert actions.again is not None
    assert actions.again <= 600
    assert status_of(actions)["transfer"]["results"] == {
        "nonce": "n1",
        "sealed": "cg==",
        "expires": rfc3339(NOW + 600),
        "objects": 4,
        "omitted": 0,
    }


def with_record(observed: Observed, job: FederatedJob, record: Record) -> Observed:
    from fedjob_operator.planning.desired import key_of
    from fedjob_operator.resources.configmaps import record_map

    body = record_map(job, record)
    return replace(observed, children={key_of(body): body})


def test_an_answered_request_is_not_answered_again_by_a_new_process() -> None:
    job = asking()
    published = {"transfer": {"results": {"nonce": "n1", "sealed": "cg==", "objects": 4,
                                          "expires": rfc3339(NOW + 600)}}}  # fmt: skip
    observed = observed_of(job)
    observed = replace(observed, body={**observed.body, "status": published})
    actions = planned(observed, job=job)
    assert Stage.RESULTS not in actions.stages
    assert status_of(actions)["transfer"]["results"]["sealed"] == "cg=="
    late = planned(observed, NOW + 601, job=job)
    assert Stage.RESULTS not in late.stages
    assert "sealed" not in status_of(late)["transfer"]["results"]
    again = asking("n2")
    body = {**observed_of(again).body, "status": published}
    assert Stage.RESULTS in planned(replace(observed_of(again), body=body), job=again).stages


def test_another_key_or_nonce_asks_again() -> None:
    job = asking("n2")
    observed = observed_of(job, observations_of(job, results=ANSWER))
    assert Stage.RESULTS in planned(observed, job=job).stages


def test_failed_results_wait_for_their_retry() -> None:
    job = asking()
    problem = Problem(Reason.STORE_UNREACHABLE, "x", NOW + 4, made_from=spec_digest(job))
    observed = observed_of(job, observations_of(job, problems={Stage.RESULTS: problem}))
    actions = planned(observed, job=job)
    assert Stage.RESULTS not in actions.stages
    assert actions.again is not None
    assert actions.again <= 4
    assert Stage.RESULTS in planned(observed, NOW + 4, job=job).stages


def test_digests_of_jobs_without_uploads_are_those_of_earlier_operators() -> None:
    """An upgrade must neither prepare running jobs again nor restart failed ones."""
    job = a_job()
    assert inputs_digest(job) == "df6d66cadff01252"
    assert image_digest(job) == "0c1776509eb33f4f"
    assert spec_digest(job) == "11cdca0c5bb068b9"
    assert inputs_digest(JOB) != inputs_digest(job)


def view_of(observed: Observed, job: FederatedJob = JOB) -> JobView:
    return JobView.of(job, observed, NOW)


def test_uploads_are_unfinished_until_every_file_has_arrived() -> None:
    assert unfinished_uploads(view_of(observed_of(JOB, Observations(uploads=seen()))))
    assert not unfinished_uploads(view_of(observed_of(JOB, Observations(uploads=COMPLETE))))
    without = a_job()
    assert not unfinished_uploads(view_of(observed_of(without, Observations()), without))


@pytest.mark.parametrize(
    ("reason", "refused"), [("ChecksumMismatch", True), ("ShardUnsafe", False)]
)
def test_upload_is_refused_where_a_worker_finds_other_bytes(reason: str, refused: bool) -> None:
    observed = observed_of(JOB, observations_of(JOB, uploads=COMPLETE))
    observed = simulate(observed, plan_for(JOB, observed))
    observed = simulate(observed, plan_for(JOB, observed))
    message = json.dumps({"phase": "Failed", "reason": reason, "message": "x"})
    last = {"exitCode": 64, "reason": "Error", "message": message}
    observed = with_pod(observed, "digits-worker-0", **running(last=last))
    assert refused_upload(view_of(observed)) is refused
