"""What the log of rounds says of a run whose server ended unheard."""

from __future__ import annotations

from fedjob.protocol.result_files import MODEL
from fedjob.protocol.server_status import RunPhase, ServerStatus
from fedjob.spec.models.job import FederatedJob
from fedjob.spec.models.status import HISTORY_LENGTH
from fedjob.storage.patience import Patience
from fedjob.storage.rounds import RoundLog
from fedjob_operator.stages.job_store import JobStore

PATIENCE_SECONDS = 10.0


def read_log(job: FederatedJob, store: JobStore) -> ServerStatus:
    """The status that the server would have told; Complete where all rounds and the result are."""
    total = job.spec.federation.num_rounds
    bucket = store.bucket()
    log = RoundLog(bucket, store.layout, Patience(seconds=PATIENCE_SECONDS))
    rounds = [number for number in log.commits() if number > 0]
    history = [log.read(number) for number in rounds[-HISTORY_LENGTH:]]
    key = store.layout.result(MODEL)
    done = max(rounds, default=0)
    model = bucket.head(key) if done >= total else None
    # A run with fewer rounds may have published an earlier one.
    complete = model is not None and model.sha256 in (None, history[-1].sha256)
    return ServerStatus(
        attempt=log.latest_attempt(),
        phase=RunPhase.COMPLETE if complete else RunPhase.STARTING,
        completed=done,
        total=total,
        history=history,
        result_key=key if complete else None,
        result_sha256=history[-1].sha256 if complete and history else None,
    )
