"""The plan: what a job's cluster should look like, and which changes lead there.

Total, and without memory but the record: an operator that is killed between any two calls plans
the rest when it starts again.
"""

from __future__ import annotations

from typing import Any

from fedjob_operator.planning.completion import known_end
from fedjob_operator.planning.ended_run import plan_ended_run, settle
from fedjob_operator.planning.job_view import JobView
from fedjob_operator.planning.running_job import FOREIGN_OWNER_SECONDS, plan_running_job
from fedjob_operator.planning.status import build_status
from fedjob_operator.planning.status_inputs import Mode, StatusInputs
from fedjob_operator.planning.transfers import with_results
from fedjob_operator.state.actions import Actions
from fedjob_operator.state.record import Record


def plan(view: JobView) -> Actions:
    """What to do for a job."""
    if view.foreign_owners:
        # A job of the same name was just deleted; its objects are not this job's to change.
        server, _ = view.kept_slots(view.record)
        waits_for = "the objects of an earlier job of this name are being deleted"
        inputs = StatusInputs(view=view, mode=Mode.WAITING, record=view.record, waits_for=waits_for)
        return Actions(status=build_status(inputs), again=FOREIGN_OWNER_SECONDS, server=server.pod)
    return with_results(view, _plan_run(view))


def _plan_run(view: JobView) -> Actions:
    end = known_end(view.job, view.record)
    if end is not None:
        return plan_ended_run(view, *settle(view, end))
    if view.job.spec.run_policy.suspend:
        return _plan_suspended(view)
    return plan_running_job(view, _started_record(view))


def _plan_suspended(view: JobView) -> Actions:
    record, server, workers = view.stopped_slots(view.record)
    inputs = StatusInputs(
        view=view, mode=Mode.SUSPENDED, record=record, server=server, workers=workers
    )
    return Actions(
        delete=view.pods_to_delete([server, *workers.values()]),
        record=view.record_body(record),
        status=build_status(inputs),
        server=server.pod,
    )


def _started_record(view: JobView) -> Record:
    """The record of a job that runs; an end that no longer holds is dropped, with its counts."""
    record = view.record
    update: dict[str, Any] = {}
    if record.started is None:
        update["started"] = int(view.now)
    if record.failure is not None or record.result is not None:
        fresh: dict[str, Any] = {
            "restarts": 0,
            "in_place": 0,
            "excused": 0,
            "streak": 0,
            "lost_at": None,
            "at_commit": 0,
            "causes": {},
            "disruption": "",
        }
        update |= {"failure": None, "result": None, "started": int(view.now)}
        update["server"] = record.server.model_copy(update=fresh)
        update["workers"] = {n: s.model_copy(update=fresh) for n, s in record.workers.items()}
    return record.model_copy(update=update) if update else record
