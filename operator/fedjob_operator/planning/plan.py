"""The plan: what a job's cluster should look like, and what is missing. Pure and total.

No clock but an argument, no I/O, no memory but the record: an operator that is killed between any
two calls plans the rest when it starts again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from fedjob.protocol.server_status import RunPhase, ServerStatus
from fedjob.spec.models.job import FederatedJob
from fedjob_operator.naming import SERVER, Body, record_name, worker_names
from fedjob_operator.planning.completion import EndInputs, found_end, given_up, known_end
from fedjob_operator.planning.desired import (
    fixed_children,
    new_pods,
    server_config_hash,
    worker_config_hash,
)
from fedjob_operator.planning.drift import drifted, key_of
from fedjob_operator.planning.over import over
from fedjob_operator.planning.pod_lifecycle import SlotPlan, plan_site, stop_site
from fedjob_operator.planning.preparation import Preparation, survey
from fedjob_operator.planning.scene import Scene
from fedjob_operator.planning.settling import log_stage, settle
from fedjob_operator.planning.situation import Mode
from fedjob_operator.planning.status import build_status
from fedjob_operator.state.actions import Actions, EventNote
from fedjob_operator.state.observed import ChildKey, Observed, Stage
from fedjob_operator.state.record import PodSlot, Prepared, Record, Result

RERUN_SECONDS = 10.0
"""A worker that ended well this long ago, while the server waits for it, is started anew."""
OLD_JOB_SECONDS = 2.0
HELD_SECONDS = 30.0
IMAGE_SECONDS = 60.0
"""While a node cannot pull the image, it is looked for in the registry so often."""


def plan(job: FederatedJob, observed: Observed, now: float) -> Actions:
    """What to do for a job.

    Args:
        job: The resource, which its schema and rules accept; `metadata.uid` is set.
        observed: Everything that was seen.
        now: Seconds since the epoch.
    """
    scene = Scene.of(job, observed, now)
    if scene.strange:
        # A job of the same name was just deleted; what it leaves is not ours to touch.
        waits = "the objects of an earlier job of this name are being deleted"
        situation = scene.situation(Mode.WAITING, scene.record, waits_for=waits)
        return Actions(status=build_status(situation), again=OLD_JOB_SECONDS)
    end = known_end(job, scene.record)
    if end is not None:
        return over(scene, *settle(scene, end))
    if job.spec.run_policy.suspend:
        record, server, workers = scene.stopped(scene.record)
        situation = scene.situation(Mode.SUSPENDED, record, server=server, workers=workers)
        return Actions(
            scene.pods_to_delete([server, *workers.values()]),
            record=scene.record_body(record),
            status=build_status(situation),
        )
    return _running(scene, _begun(scene))


def _begun(scene: Scene) -> Record:
    """The record of a job that runs: an end that no longer holds is forgotten, with its counts."""
    record = scene.record
    update: dict[str, Any] = {}
    if record.started is None:
        update["started"] = int(scene.now)
    if record.failure is not None or record.result is not None:
        fresh: dict[str, Any] = {
            "restarts": 0, "in_place": 0, "excused": 0, "streak": 0, "lost_at": None,
            "at_commit": 0, "causes": {}, "going": "",
        }  # fmt: skip
        update |= {"failure": None, "result": None, "started": int(scene.now)}
        update["server"] = record.server.model_copy(update=fresh)
        update["workers"] = {n: s.model_copy(update=fresh) for n, s in record.workers.items()}
    return record.model_copy(update=update) if update else record


def _running(scene: Scene, record: Record) -> Actions:
    job, facts = scene.job, scene.observed.facts
    renew = scene.observed.defaults.url_seconds / 2
    preparation = survey(job, facts, record, scene.mine, scene.now, renew)
    prepared = preparation.prepared
    if prepared is not None and prepared != record.prepared:
        record = record.model_copy(update={"prepared": prepared})
    if preparation.complete and record.gpus is None:
        record = record.model_copy(update={"gpus": _use_gpus(job, facts.gpus)})
    said = scene.said()
    server, workers = scene.kept(record)
    if preparation.complete and prepared is not None:
        server, workers = _plan_sites(scene, record, preparation.kit_set, prepared, said)
    server = replace(server, site=_committed(server.site, said))
    sites = {name: site.site for name, site in workers.items()}
    record = record.model_copy(update={"server": server.site, "workers": sites})
    pods = {name: site.pod for name, site in workers.items()}
    last = server.pod or server.given_up
    seen = EndInputs(record, last, said, facts.stored, pods, sites, server.site)
    end = found_end(job, seen, scene.now)
    if end is not None:
        name = "result" if isinstance(end, Result) else "failure"
        return over(scene, record.model_copy(update={name: end}), end)
    return _run_actions(scene, record, preparation, server, workers, said)


def _committed(site: PodSlot, said: ServerStatus | None) -> PodSlot:
    """The server's site, once this start of it has committed a round."""
    if said is None or not said.history:
        return site
    attempt = said.history[-1].attempt
    if attempt != said.attempt or attempt <= site.commit_attempt:
        # The first of an attempt counts: after a crash its last words are still there to be read.
        return site
    return site.model_copy(update={"at_commit": site.total, "commit_attempt": attempt})


def _use_gpus(job: FederatedJob, offered: int | None) -> bool:
    """Whether workers get GPUs: decided once a run, so that no pod is moved while it trains."""
    wanted = job.spec.workers.gpu
    return wanted > 0 and (job.spec.workers.gpu_fallback == "wait" or (offered or 0) >= wanted)


def _plan_sites(
    scene: Scene, record: Record, kit_set: str, prepared: Prepared, said: ServerStatus | None
) -> tuple[SlotPlan, dict[str, SlotPlan]]:
    job, now, gpus = scene.job, scene.now, bool(record.gpus)
    rerun = _more_to_do(job, said, scene.observed.facts.stored)
    config = server_config_hash(job, prepared, kit_set)
    server = plan_site(record.server, scene.pods_of(SERVER), config, now, rerun=rerun)
    waits = said is not None and said.phase in (RunPhase.WAITING, RunPhase.TRAINING)
    workers: dict[str, SlotPlan] = {}
    for index, name in enumerate(worker_names(len(prepared.workers))):
        pods = scene.pods_of(name)
        ended = max((pod.finished for pod in pods), default=0.0)
        config = worker_config_hash(job, prepared, index, kit_set, gpus=gpus)
        site = record.workers.get(name, PodSlot())
        again = waits and now >= ended + RERUN_SECONDS
        planned = plan_site(site, pods, config, now, rerun=again)
        if given_up(job, {name: planned.site}):
            left = planned.site.model_copy(update={"seen": False, "born": None})
            planned = replace(stop_site(left, pods), site=left)
        workers[name] = planned
    return server, workers


def _more_to_do(job: FederatedJob, said: ServerStatus | None, stored: ServerStatus | None) -> bool:
    """Whether a server that ended well has to run again: the log lacks rounds."""
    if stored is not None and stored.phase is not RunPhase.COMPLETE:
        return True
    done = [s.completed for s in (said, stored) if s is not None and s.phase is RunPhase.COMPLETE]
    return bool(done) and max(done) < job.spec.federation.num_rounds


def _run_actions(
    scene: Scene,
    record: Record,
    preparation: Preparation,
    server: SlotPlan,
    workers: Mapping[str, SlotPlan],
    said: ServerStatus | None,
) -> Actions:
    job, defaults, gpus = scene.job, scene.observed.defaults, bool(record.gpus)
    prepared = preparation.prepared
    wanted = list(preparation.wanted)
    pods: list[Body] = []
    delete: tuple[Body, ...] = ()
    if preparation.complete and prepared is not None:
        wanted = [*fixed_children(job, prepared, defaults, gpus=gpus), *wanted]
        pods = new_pods(job, prepared, preparation.kit_set, server, workers, defaults, gpus=gpus)
        delete = _unwanted(scene, preparation, wanted, server, workers)
    held = _held(scene, [*wanted, *pods])
    if held:
        # Without all of what they mount pods would not start.
        pods = []
        old = {"server": scene.record.server, "workers": scene.record.workers}
        record = record.model_copy(update=old)
    absent = [body for body in wanted if key_of(body) not in scene.mine]
    create = [body for body in absent if key_of(body) not in held] + pods
    apply = [body for body in wanted if drifted(body, scene.mine.get(key_of(body)))]
    names = ", ".join(f"{kind} {name}" for kind, name in sorted(held))
    situation = scene.situation(
        Mode.RUNNING if preparation.complete else Mode.PREPARING,
        record,
        preparation=preparation,
        server=server,
        workers=workers,
        said=said,
        waits_for=f"{names} is there and is not this job's; delete or rename it" if held else "",
    )
    waits = [
        preparation.again,
        server.again,
        *(site.again for site in workers.values()),
        _deadline(scene, record),
        HELD_SECONDS if held else None,
        RERUN_SECONDS if _ended_early(workers, said) else None,
        IMAGE_SECONDS if _pull_trouble(server, workers) else None,
    ]
    return Actions(
        delete,
        tuple(create),
        tuple(apply),
        scene.record_body(record),
        build_status(situation),
        preparation.stages | _unheard(scene, server, said) | _pulled(scene, server, workers),
        min((wait for wait in waits if wait is not None), default=None),
        news=tuple(_losses(server, workers)),
    )


def _unwanted(
    scene: Scene,
    preparation: Preparation,
    wanted: Iterable[Body],
    server: SlotPlan,
    workers: Mapping[str, SlotPlan],
) -> tuple[Body, ...]:
    """Objects of ours that are not wanted any more; the record is wanted as long as the job is."""
    going = {("Pod", pod.name) for site in (server, *workers.values()) for pod in site.delete}
    others = {site for site in scene.pods if site != SERVER and site not in workers}
    going |= {("Pod", pod.name) for site in others for pod in scene.pods_of(site)}
    keep = {key_of(body) for body in wanted} | preparation.kept
    keep.add(("ConfigMap", record_name(scene.job.metadata.name)))
    going |= {key for key in scene.mine if key[0] != "Pod" and key not in keep}
    bodies = (scene.mine[key] for key in sorted(going))
    return tuple(body for body in bodies if not body["metadata"].get("deletionTimestamp"))


def _held(scene: Scene, wanted: Iterable[Body]) -> frozenset[ChildKey]:
    """Wanted names that something has which is not ours: it is left alone."""
    believed = {key for key, end in scene.observed.facts.held.items() if end > scene.now}
    taken = scene.observed.children.keys() | believed
    return frozenset(key for key in map(key_of, wanted) if key in taken - scene.mine.keys())


def _deadline(scene: Scene, record: Record) -> float | None:
    deadline = scene.job.spec.run_policy.active_deadline_seconds
    if deadline is None or record.started is None:
        return None
    return record.started + deadline - scene.now


def _ended_early(workers: Mapping[str, SlotPlan], said: ServerStatus | None) -> bool:
    ended = (site.pod.phase == "Succeeded" for site in workers.values() if site.pod is not None)
    return said is not None and any(ended)


def _unheard(scene: Scene, server: SlotPlan, said: ServerStatus | None) -> frozenset[Stage]:
    """A server that ended well without our hearing it: the log of rounds tells what it did."""
    facts = scene.observed.facts
    if server.pod is None or server.pod.phase != "Succeeded" or facts.stored is not None:
        return frozenset()
    heard = said is not None and said.phase is RunPhase.COMPLETE
    return frozenset() if heard else log_stage(scene)


def _pull_trouble(server: SlotPlan, workers: Mapping[str, SlotPlan]) -> bool:
    sites = (server, *workers.values())
    return any(site.pod is not None and site.pod.pull_trouble for site in sites)


def _pulled(scene: Scene, server: SlotPlan, workers: Mapping[str, SlotPlan]) -> frozenset[Stage]:
    """An image that nodes cannot pull may have gone from its registry: it is pushed again."""
    facts = scene.observed.facts
    problem = facts.problems.get(Stage.IMAGE)
    if problem is None and not _pull_trouble(server, workers):
        return frozenset()
    waits = problem is not None and problem.retry_at > scene.now
    fresh = problem is None and scene.now < facts.image_checked + IMAGE_SECONDS
    return frozenset() if waits or fresh else frozenset({Stage.IMAGE})


def _losses(server: SlotPlan, workers: Mapping[str, SlotPlan]) -> Iterable[EventNote]:
    for name, site in ((SERVER, server), *workers.items()):
        if site.lost:
            message = f"{name} is replaced ({site.lost}); restart {site.site.total}"
            yield EventNote("Warning", "Recovering", message)
