"""Derives a run's status and history from the round log, for a server that has not left them."""

from __future__ import annotations

from fedjob.protocol.commit import Commit
from fedjob.protocol.history import history_json
from fedjob.protocol.result_files import HISTORY, MODEL
from fedjob.protocol.server_status import RunPhase, ServerStatus
from fedjob.protocol.standing import is_over
from fedjob.spec.models.job import FederatedJob
from fedjob.spec.models.status import HISTORY_LENGTH
from fedjob.storage.owner import Owner, read_owner
from fedjob.storage.patience import Patience
from fedjob.storage.rounds import RoundLog
from fedjob_operator.stages.job_store import JobStore
from fedjob_operator.stages.ownership import MayAct

PATIENCE_SECONDS = 10.0
MOST_ROUNDS = 2_000
"""Rounds of a failed run's history, the last ones: each is one request, and the stage has 120 s."""
MOST_BYTES = 8 << 20
"""Bytes of its commits: they are held until the history is written."""


def read_log(job: FederatedJob, store: JobStore) -> ServerStatus:
    """The status that the server would have reported.

    Its phase is Complete if all rounds, or those up to an early stop, and the result exist.
    """
    total = job.spec.federation.num_rounds
    bucket = store.bucket()
    log = RoundLog(bucket, store.layout, Patience(seconds=PATIENCE_SECONDS))
    rounds = [number for number in log.commits() if number > 0]
    history = [log.read(number) for number in rounds[-HISTORY_LENGTH:]]
    key = store.layout.result(MODEL)
    done = max(rounds, default=0)
    model = bucket.head(key) if history and is_over(history[-1], total) else None
    # After numRounds was raised, the published model may be that of an earlier round.
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


def keep_history(owner: Owner, store: JobStore, may_act: MayAct) -> bool:
    """Writes history.json of a run that has failed; returns whether it did.

    It has the last rounds, as far as `MOST_ROUNDS` and `MOST_BYTES` reach.

    A complete run has one from its server. A status has the last rounds, so a run of few rounds
    needs none.

    Args:
        owner: The job.
        store: Its store.
        may_act: Called before the write.

    Raises:
        StoreError: The store cannot be used.
    """
    bucket, layout = store.bucket(), store.layout
    log = RoundLog(bucket, layout, Patience(seconds=PATIENCE_SECONDS))
    rounds = log.commits()
    recorded = read_owner(bucket, layout.owner) if len(rounds) > HISTORY_LENGTH else None
    if recorded is None or not recorded.is_same_job(owner):
        return False
    text = history_json(_last_commits(log, rounds))
    may_act()
    bucket.put_bytes(layout.result(HISTORY), text.encode())
    return True


def _last_commits(log: RoundLog, rounds: list[int]) -> list[Commit]:
    """The last commits of a log, the oldest first."""
    found: list[Commit] = []
    left = MOST_BYTES
    for number in reversed(rounds[-MOST_ROUNDS:]):
        commit = log.read(number)
        left -= len(commit.model_dump_json())
        if left < 0:
            break
        found.append(commit)
    return found[::-1]
