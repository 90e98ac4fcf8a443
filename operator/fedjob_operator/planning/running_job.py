"""The plan of a job that prepares or runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from fedjob.protocol.server_status import RunPhase, ServerStatus
from fedjob.spec.models.job import FederatedJob
from fedjob_operator.naming import SERVER, Body, record_name, worker_names
from fedjob_operator.planning.completion import EndInputs, exhausted, found_end, has_all_rounds
from fedjob_operator.planning.desired import (
    drifted,
    fixed_children,
    key_of,
    new_pods,
    server_pod_config,
    worker_pod_config,
)
from fedjob_operator.planning.ended_run import log_stage, plan_ended_run
from fedjob_operator.planning.job_view import JobView
from fedjob_operator.planning.pod_lifecycle import SlotPlan, plan_slot, stop_slot
from fedjob_operator.planning.preparation import Preparation, survey
from fedjob_operator.planning.status import build_status
from fedjob_operator.planning.status_inputs import Mode, StatusInputs
from fedjob_operator.state.actions import Actions, EventNote
from fedjob_operator.state.observed import ChildKey, Stage
from fedjob_operator.state.record import PodSlot, Prepared, Record, Result

RERUN_SECONDS = 10.0
"""A worker that succeeded this long ago, while the server waits for it, is started again."""
NAME_CONFLICT_SECONDS = 30.0
"""How long a name is taken to belong to another owner before it is tried again."""
FOREIGN_OWNER_SECONDS = 2.0
"""Between two looks while the objects of an earlier job of this name are being deleted."""
IMAGE_SECONDS = 60.0
"""Between two checks of the registry while a node cannot pull the image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """A job that runs or prepares to, as far as it is planned.

    Attributes:
        view: The job and what exists of it.
        record: The record as the plan has changed it so far.
        preparation: Progress of the stages.
        server: The plan of the server's slot.
        workers: The plans of the workers' slots.
        server_status: The last status of the current server pod.
    """

    view: JobView
    record: Record
    preparation: Preparation
    server: SlotPlan
    workers: Mapping[str, SlotPlan]
    server_status: ServerStatus | None

    @property
    def slots(self) -> dict[str, SlotPlan]:
        """Every slot's plan, the server's first."""
        return {SERVER: self.server, **self.workers}


def plan_running_job(view: JobView, record: Record) -> Actions:
    """Plans a job that should run: its stages, objects and pods, or its end.

    Args:
        view: The job and what exists of it.
        record: The record of a job that has started.
    """
    preparation = survey(view, record)
    prepared = preparation.prepared
    if prepared is not None and prepared != record.prepared:
        record = record.model_copy(update={"prepared": prepared})
    if preparation.complete and record.gpus is None:
        gpus = _use_gpus(view.job, view.observations.gpus)
        record = record.model_copy(update={"gpus": gpus})
    server_status = view.server_status()
    server, workers = view.kept_slots(record)
    if preparation.complete and prepared is not None:
        server, workers = _plan_slots(view, record, prepared, preparation.kit_set)
    server = replace(server, slot=_committed(server.slot, server_status))
    slots = {name: plan.slot for name, plan in workers.items()}
    record = record.model_copy(update={"server": server.slot, "workers": slots})
    inputs = EndInputs(
        record=record,
        server=server.pod or server.lost_pod,
        server_status=server_status,
        log_status=view.observations.log_status,
        workers={name: plan.pod for name, plan in workers.items()},
        worker_slots=slots,
        server_slot=server.slot,
    )
    end = found_end(view.job, inputs, view.now)
    if end is not None:
        name = "result" if isinstance(end, Result) else "failure"
        return plan_ended_run(view, record.model_copy(update={name: end}), end)
    run = _Run(
        view=view,
        record=record,
        preparation=preparation,
        server=server,
        workers=workers,
        server_status=server_status,
    )
    return _run_actions(run)


def _committed(slot: PodSlot, status: ServerStatus | None) -> PodSlot:
    """The server's slot, once the current attempt has committed a round."""
    if status is None or not status.history:
        return slot
    attempt = status.history[-1].attempt
    if attempt != status.attempt or attempt <= slot.commit_attempt:
        # Only an attempt's first commit counts: after a crash its last status is still known.
        return slot
    return slot.model_copy(update={"at_commit": slot.total, "commit_attempt": attempt})


def _use_gpus(job: FederatedJob, offered: int | None) -> bool:
    """Whether workers get GPUs: decided once for a run, so that no pod moves while it trains."""
    wanted = job.spec.workers.gpu
    return wanted > 0 and (job.spec.workers.gpu_fallback == "wait" or (offered or 0) >= wanted)


def _plan_slots(
    view: JobView, record: Record, prepared: Prepared, kit_set: str
) -> tuple[SlotPlan, dict[str, SlotPlan]]:
    job, now, status = view.job, view.now, view.server_status()
    config = server_pod_config(job, prepared, kit_set)
    rerun = _rounds_are_missing(job, status, view.observations.log_status)
    server = plan_slot(record.server, view.pods_of(SERVER), config, now, rerun=rerun)
    waits = status is not None and status.phase in (RunPhase.WAITING, RunPhase.TRAINING)
    workers: dict[str, SlotPlan] = {}
    for index, name in enumerate(worker_names(len(prepared.workers))):
        pods = view.pods_of(name)
        ended = max((pod.finished for pod in pods), default=0.0)
        config = worker_pod_config(job, prepared, index, kit_set, gpus=bool(record.gpus))
        slot = record.workers.get(name, PodSlot())
        rerun = waits and now >= ended + RERUN_SECONDS
        planned = plan_slot(slot, pods, config, now, rerun=rerun)
        if exhausted(job, {name: planned.slot}):
            left = planned.slot.model_copy(update={"seen": False, "born": None})
            planned = replace(stop_slot(left, pods), slot=left)
        workers[name] = planned
    return server, workers


def _rounds_are_missing(
    job: FederatedJob, server_status: ServerStatus | None, log_status: ServerStatus | None
) -> bool:
    """Whether a server that succeeded must run again, because the log of rounds is too short."""
    if log_status is not None and log_status.phase is not RunPhase.COMPLETE:
        return True
    statuses = (server_status, log_status)
    done = [s for s in statuses if s is not None and s.phase is RunPhase.COMPLETE]
    return bool(done) and not any(has_all_rounds(job, status) for status in done)


def _run_actions(run: _Run) -> Actions:
    view, record, preparation = run.view, run.record, run.preparation
    prepared = preparation.prepared
    wanted = list(preparation.secrets)
    pods: list[Body] = []
    delete: tuple[Body, ...] = ()
    if preparation.complete and prepared is not None:
        gpus = bool(record.gpus)
        wanted = [*fixed_children(view.job, prepared, view.defaults, gpus=gpus), *wanted]
        pods = new_pods(
            view.job,
            prepared,
            view.defaults,
            kit_set=preparation.kit_set,
            server=run.server,
            workers=run.workers,
            gpus=gpus,
        )
        delete = _unwanted(run, wanted)
    conflicts = _name_conflicts(view, [*wanted, *pods])
    waits_for = ""
    if conflicts:
        # Pods do not start unless everything that they mount exists.
        pods = []
        old = {"server": view.record.server, "workers": view.record.workers}
        record = record.model_copy(update=old)
        names = ", ".join(f"{kind} {name}" for kind, name in sorted(conflicts))
        waits_for = f"{names} exists and does not belong to this job; delete or rename it"
    absent = [body for body in wanted if key_of(body) not in view.owned]
    drift = {
        key_of(body): why
        for body in wanted
        for changed, why in (drifted(body, view.owned.get(key_of(body))),)
        if changed
    }
    inputs = StatusInputs(
        view=view,
        mode=Mode.RUNNING if preparation.complete else Mode.PREPARING,
        record=record,
        preparation=preparation,
        server=run.server,
        workers=run.workers,
        server_status=run.server_status,
        waits_for=waits_for,
    )
    waits = [*_waits(run), _conflict_wait(view) if conflicts else None]
    return Actions(
        delete=delete,
        create=(*(body for body in absent if key_of(body) not in conflicts), *pods),
        apply=tuple(body for body in wanted if key_of(body) in drift),
        drift=drift,
        record=view.record_body(record),
        status=build_status(inputs),
        stages=preparation.stages | _unread_log(run) | _image_check(run),
        again=min((wait for wait in waits if wait is not None), default=None),
        events=tuple(_replacements(run)),
        server=run.server.pod,
    )


def _waits(run: _Run) -> Iterator[float | None]:
    """Seconds until each thing that no event announces."""
    yield run.preparation.again
    yield from (plan.again for plan in run.slots.values())
    deadline = run.view.job.spec.run_policy.active_deadline_seconds
    if deadline is not None and run.record.started is not None:
        yield run.record.started + deadline - run.view.now
    pods = [plan.pod for plan in run.workers.values() if plan.pod is not None]
    if run.server_status is not None and any(pod.phase == "Succeeded" for pod in pods):
        yield RERUN_SECONDS
    if _pull_trouble(run):
        yield IMAGE_SECONDS


def _unwanted(run: _Run, wanted: Iterable[Body]) -> tuple[Body, ...]:
    """Objects of the job that are no longer wanted; the record stays as long as the job."""
    view = run.view
    delete = {("Pod", pod.name) for plan in run.slots.values() for pod in plan.delete}
    others = (pods for name, pods in view.pods.items() if name not in run.slots)
    delete |= {("Pod", pod.name) for pods in others for pod in pods}
    keep = {key_of(body) for body in wanted} | run.preparation.kept
    keep.add(("ConfigMap", record_name(view.job.metadata.name)))
    delete |= {key for key in view.owned if key[0] != "Pod" and key not in keep}
    bodies = (view.owned[key] for key in sorted(delete))
    return tuple(body for body in bodies if not body["metadata"].get("deletionTimestamp"))


def _name_conflicts(view: JobView, wanted: Iterable[Body]) -> frozenset[ChildKey]:
    """Wanted names of objects that the job does not own; those objects are left alone."""
    recent = view.observations.name_conflicts.items()
    believed = {key for key, until in recent if until > view.now}
    taken = (view.observed.children.keys() | believed) - view.owned.keys()
    return frozenset(key for key in map(key_of, wanted) if key in taken)


def _conflict_wait(view: JobView) -> float:
    """Seconds until a name that belongs to another owner is tried again."""
    times = view.observations.name_conflicts.values()
    left = [until - view.now for until in times if until > view.now]
    return min(left, default=NAME_CONFLICT_SECONDS)


def _unread_log(run: _Run) -> frozenset[Stage]:
    """Reads the log of rounds where a server succeeded and its last status was not received."""
    pod, status = run.server.pod, run.server_status
    if pod is None or pod.phase != "Succeeded" or run.view.observations.log_status is not None:
        return frozenset()
    known = status is not None and status.phase is RunPhase.COMPLETE
    return frozenset() if known else log_stage(run.view)


def _pull_trouble(run: _Run) -> bool:
    return any(plan.pod is not None and plan.pod.pull_trouble for plan in run.slots.values())


def _image_check(run: _Run) -> frozenset[Stage]:
    """Pushes the image again where nodes cannot pull it: the registry may have lost it."""
    observations, now = run.view.observations, run.view.now
    problem = observations.problems.get(Stage.IMAGE)
    if problem is None and not _pull_trouble(run):
        return frozenset()
    waits = problem is not None and problem.retry_at > now
    fresh = problem is None and now < observations.image_checked + IMAGE_SECONDS
    return frozenset() if waits or fresh else frozenset({Stage.IMAGE})


def _replacements(run: _Run) -> Iterator[EventNote]:
    for name, plan in run.slots.items():
        if plan.loss:
            message = f"{name} is replaced ({plan.loss}); restart {plan.slot.total}"
            yield EventNote("Warning", "Recovering", message)
        if plan.changed:
            yield EventNote("Normal", "PodReplaced", plan.changed)
