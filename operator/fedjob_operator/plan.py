"""The plan: what a job's cluster should look like, and what is missing. Pure and total.

No clock but an argument, no I/O, no memory but the record: an operator that is killed between any
two calls plans the rest when it starts again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from fedjob.spec.job import FederatedJob
from fedjob.spec.run import RunPhase, ServerStatus
from fedjob_operator.actions import Actions, News
from fedjob_operator.children.configmaps import config_map, record_map
from fedjob_operator.children.pods import server_pod, worker_pod
from fedjob_operator.children.policies import server_policy, worker_policy
from fedjob_operator.children.secrets import store_secret
from fedjob_operator.children.service import service
from fedjob_operator.finish import Seen, found_end, given_up, known_end
from fedjob_operator.labels import (
    DIGEST,
    SERVER,
    WORKER,
    Body,
    annotation,
    digest_of,
    owner_uid,
    record_name,
    worker_names,
)
from fedjob_operator.observed import ChildKey, Observed, Stage
from fedjob_operator.pod_view import PodView, view_pod
from fedjob_operator.preparation import Preparation, survey
from fedjob_operator.record import Failure, Prepared, Record, Result, Site, read_record
from fedjob_operator.situation import Mode, Situation
from fedjob_operator.sites import SitePlan, plan_site, stop_site
from fedjob_operator.status import build_status
from fedjob_operator.store_choice import location_of

LAST_WORDS_SECONDS = 60.0
"""A pod that has not ended this long after a complete run is deleted."""
RERUN_SECONDS = 10.0
"""A worker that ended well this long ago, while the server waits for it, is started anew."""
LOOK_AGAIN = 2.0


@dataclass(frozen=True, slots=True)
class _Scene:
    """The observed, taken apart once."""

    job: FederatedJob
    observed: Observed
    now: float
    mine: Mapping[ChildKey, Body]
    record: Record
    pods: Mapping[str, tuple[PodView, ...]]

    @property
    def before(self) -> Body:
        return self.observed.body.get("status") or {}

    def situation(self, mode: Mode, record: Record, **more: Any) -> Situation:
        generation = int(self.observed.body["metadata"].get("generation") or 0)
        defaults, problems = self.observed.defaults, self.observed.facts.problems
        return Situation(
            self.job, generation, self.before, mode, record, self.now,
            **{"problems": problems, "defaults": defaults, **more},
        )  # fmt: skip

    def pods_of(self, site: str) -> tuple[PodView, ...]:
        return self.pods.get(site, ())


def plan(job: FederatedJob, observed: Observed, now: float) -> Actions:
    """What to do for a job.

    Args:
        job: The resource, which its schema and rules accept; `metadata.uid` is set.
        observed: Everything that was seen.
        now: Seconds since the epoch.
    """
    uid = job.metadata.uid
    owners = {key: owner_uid(body) for key, body in observed.children.items()}
    mine = {key: body for key, body in observed.children.items() if owners[key] == uid}
    record = read_record(mine.get(("ConfigMap", record_name(job.metadata.name))))
    scene = _Scene(job, observed, now, mine, record, _pods_by_site(mine))
    if any(owner not in (None, uid) for owner in owners.values()):
        # A job of the same name was just deleted; what it leaves is not ours to touch.
        waits = "the objects of an earlier job of this name are being deleted"
        situation = scene.situation(Mode.WAITING, record, waits_for=waits)
        return Actions(status=build_status(situation), again=LOOK_AGAIN)
    end = known_end(job, record)
    if end is not None:
        return _over(scene, record, end)
    if job.spec.run_policy.suspend:
        return _suspended(scene)
    return _running(scene, _begun(scene))


def _pods_by_site(mine: Mapping[ChildKey, Body]) -> dict[str, tuple[PodView, ...]]:
    sites: dict[str, tuple[PodView, ...]] = {}
    for (kind, _), body in sorted(mine.items()):
        if kind == "Pod":
            site = (body["metadata"].get("labels") or {}).get(WORKER, SERVER)
            sites[site] = (*sites.get(site, ()), view_pod(body))
    return sites


def _begun(scene: _Scene) -> Record:
    """The record of a job that runs: an end that no longer holds is forgotten, with its counts."""
    record = scene.record
    update: dict[str, Any] = {}
    if record.started is None:
        update["started"] = int(scene.now)
    if record.failure is not None or record.result is not None:
        fresh = {"restarts": 0, "in_place": 0, "streak": 0, "lost_at": None, "at_commit": 0}
        update |= {"failure": None, "result": None, "started": int(scene.now)}
        update["server"] = record.server.model_copy(update=fresh)
        update["workers"] = {n: s.model_copy(update=fresh) for n, s in record.workers.items()}
    return record.model_copy(update=update) if update else record


def _over(scene: _Scene, record: Record, end: Failure | Result) -> Actions:
    """A run that has ended: nothing of it goes on, its pods stay to be read until the ttl."""
    late = isinstance(end, Failure) or scene.now >= end.time + LAST_WORDS_SECONDS
    server, workers = _kept_sites(scene, record)
    again: float | None = None
    if late:
        server = stop_site(record.server, scene.pods_of(SERVER))
        names = {*record.workers, *(site for site in scene.pods if site != SERVER)}
        workers = {
            name: stop_site(record.workers.get(name, Site()), scene.pods_of(name))
            for name in sorted(names)
        }
        sites = {name: site.site for name, site in workers.items()}
        record = record.model_copy(
            update={"server": server.site, "workers": sites, "started": None, "gpus": None}
        )
    elif any(not pod.ended for pods in scene.pods.values() for pod in pods):
        again = end.time + LAST_WORDS_SECONDS - scene.now
    ttl = scene.job.spec.run_policy.ttl_seconds_after_finished
    left = None if ttl is None else end.time + ttl - scene.now
    if left is not None and left > 0:
        again = left if again is None else min(again, left)
    facts = scene.observed.facts
    said = facts.stored or (facts.server.status if facts.server else None)
    situation = scene.situation(
        Mode.OVER, record, server=server, workers=workers, end=end, said=said
    )
    return replace(
        _finished_actions(scene, record, [server, *workers.values()], situation),
        again=again,
        delete_job=left is not None and left <= 0,
    )


def _kept_sites(scene: _Scene, record: Record) -> tuple[SitePlan, dict[str, SitePlan]]:
    """Every site with the pod it has, and nothing to do."""

    def kept(site: Site, name: str) -> SitePlan:
        live = [pod for pod in scene.pods_of(name) if pod.deleting is None]
        return SitePlan(site, max(live, key=lambda pod: pod.ordinal, default=None))

    names = {*record.workers, *(site for site in scene.pods if site != SERVER)}
    workers = {name: kept(record.workers.get(name, Site()), name) for name in sorted(names)}
    return kept(record.server, SERVER), workers


def _suspended(scene: _Scene) -> Actions:
    record = scene.record
    server = stop_site(record.server, scene.pods_of(SERVER))
    names = {*record.workers, *(site for site in scene.pods if site != SERVER)}
    workers = {
        name: stop_site(record.workers.get(name, Site()), scene.pods_of(name)) for name in names
    }
    sites = {name: workers[name].site for name in sorted(workers)}
    update = {"server": server.site, "workers": sites, "started": None, "gpus": None}
    record = record.model_copy(update=update)
    situation = scene.situation(Mode.SUSPENDED, record, server=server, workers=workers)
    return _finished_actions(scene, record, [server, *workers.values()], situation)


def _finished_actions(
    scene: _Scene, record: Record, sites: Iterable[SitePlan], situation: Situation
) -> Actions:
    delete = [scene.mine["Pod", pod.name] for site in sites for pod in site.delete]
    status = build_status(situation)
    return Actions(tuple(delete), record=_record(scene, record), status=status)


def _running(scene: _Scene, record: Record) -> Actions:
    job, observed, now = scene.job, scene.observed, scene.now
    facts = observed.facts
    preparation = survey(job, facts, record, scene.mine, now)
    prepared = preparation.prepared
    if prepared is not None and prepared != record.prepared:
        record = record.model_copy(update={"prepared": prepared})
    if preparation.complete and record.gpus is None:
        record = record.model_copy(update={"gpus": _use_gpus(job, facts.gpus)})
    said = _said(scene)
    server, workers = _kept_sites(scene, record)
    if preparation.complete and prepared is not None:
        server, workers = _plan_sites(scene, record, preparation, prepared, said)
    server = replace(server, site=_committed(server.site, said))
    sites = {name: site.site for name, site in workers.items()}
    record = record.model_copy(update={"server": server.site, "workers": sites})
    pods = {name: site.pod for name, site in workers.items()}
    seen = Seen(record, server.pod, said, facts.stored, pods, sites, server.site)
    end = found_end(job, seen, now)
    if end is not None:
        name = "result" if isinstance(end, Result) else "failure"
        return _over(scene, record.model_copy(update={name: end}), end)
    return _run_actions(scene, record, preparation, server, workers, said)


def _said(scene: _Scene) -> ServerStatus | None:
    """What the server that is there said; the words of an earlier pod are no news."""
    view = scene.observed.facts.server
    uids = {pod.uid for pod in scene.pods_of(SERVER)}
    return view.status if view is not None and view.pod in uids else None


def _committed(site: Site, said: ServerStatus | None) -> Site:
    """The server's site, once this start of it has committed a round."""
    if said is None or not said.history or said.history[-1].attempt != said.attempt:
        return site
    return site.model_copy(update={"at_commit": site.total})


def _use_gpus(job: FederatedJob, offered: int | None) -> bool:
    """Whether workers get GPUs: decided once a run, so that no pod is moved while it trains."""
    wanted = job.spec.workers.gpu
    return wanted > 0 and (job.spec.workers.gpu_fallback == "wait" or (offered or 0) >= wanted)


def _plan_sites(
    scene: _Scene,
    record: Record,
    preparation: Preparation,
    prepared: Prepared,
    said: ServerStatus | None,
) -> tuple[SitePlan, dict[str, SitePlan]]:
    job, stored = scene.job, scene.observed.facts.stored
    unfinished = stored is not None and stored.phase is not RunPhase.COMPLETE
    config = _server_config(job, prepared, preparation.kit_set)
    pods = scene.pods_of(SERVER)
    server = plan_site(record.server, pods, config, scene.now, rerun=unfinished)
    waits = said is not None and said.phase in (RunPhase.WAITING, RunPhase.TRAINING)
    gpus = bool(record.gpus)
    workers: dict[str, SitePlan] = {}
    for index, name in enumerate(worker_names(len(prepared.workers))):
        pods = scene.pods_of(name)
        ended = max((pod.finished for pod in pods), default=0.0)
        rerun = waits and scene.now >= ended + RERUN_SECONDS
        config = _worker_config(job, prepared, index, preparation.kit_set, gpus=gpus)
        site = record.workers.get(name, Site())
        planned = plan_site(site, pods, config, scene.now, rerun=rerun)
        if given_up(job, {name: planned.site}):
            stopped = stop_site(planned.site, pods)
            planned = replace(stopped, site=planned.site.model_copy(update={"seen": False}))
        workers[name] = planned
    return server, workers


def _server_config(job: FederatedJob, prepared: Prepared, kit_set: str) -> str:
    own = job.spec.server.model_dump(mode="json")
    return digest_of([prepared.made_from, prepared.num_classes, kit_set, own])


def _worker_config(
    job: FederatedJob, prepared: Prepared, index: int, kit_set: str, *, gpus: bool
) -> str:
    own = job.spec.workers.model_dump(mode="json", exclude={"max_restarts", "gpu_fallback"})
    shard = prepared.workers[index].model_dump(mode="json")
    return digest_of([shard, job.spec.training.manifest_file, kit_set, own, gpus])


def _run_actions(
    scene: _Scene,
    record: Record,
    preparation: Preparation,
    server: SitePlan,
    workers: Mapping[str, SitePlan],
    said: ServerStatus | None,
) -> Actions:
    job = scene.job
    wanted = list(preparation.wanted)
    if preparation.complete and preparation.prepared is not None:
        wanted = [*_fixed(scene, preparation.prepared, gpus=bool(record.gpus)), *wanted]
    held = sorted(_held(scene, wanted))
    create = [body for body in wanted if _key(body) not in scene.mine]
    apply = [body for body in wanted if _drifted(body, scene.mine.get(_key(body)))]
    create = [body for body in create if _key(body) not in held]
    delete: list[Body] = []
    if preparation.complete and preparation.prepared is not None:
        pods = [] if held else _new_pods(scene, preparation.prepared, record, server, workers)
        held += [key for key in map(_key, pods) if key in scene.observed.facts.held]
        create += [body for body in pods if _key(body) not in held]
        delete = _unwanted(scene, preparation, wanted, server, workers)
    waits = [preparation.again, server.again, *(site.again for site in workers.values())]
    waits += [_deadline(scene, record), LOOK_AGAIN * 15 if held else None]
    waits.append(RERUN_SECONDS if _ended_early(workers, said) else None)
    kept = record if not held else _unstarted(record, scene.record)
    name = ", ".join(f"{kind} {name}" for kind, name in held)
    situation = scene.situation(
        Mode.RUNNING if preparation.complete else Mode.PREPARING,
        kept,
        preparation=preparation,
        server=server,
        workers=workers,
        said=said,
        waits_for=f"{name} is there and is not this job's; delete or rename it" if held else "",
    )
    return Actions(
        tuple(delete),
        tuple(create),
        tuple(apply),
        _record(scene, kept),
        build_status(situation),
        preparation.stages | _unheard(server, said, scene),
        min((wait for wait in waits if wait is not None), default=None),
        news=tuple(_losses(server, workers)),
    )


def _fixed(scene: _Scene, prepared: Prepared, *, gpus: bool) -> list[Body]:
    """Everything that is wanted beside pods and prepared Secrets."""
    job, defaults = scene.job, scene.observed.defaults
    store = location_of(job, defaults)
    bodies = [service(job), config_map(job, prepared, store, gpus=gpus)]
    if defaults.policies:
        https = any(shard.https for shard in prepared.workers)
        bodies += [server_policy(job, store, defaults), worker_policy(job, store, https=https)]
    if job.spec.storage.secret_ref is None:
        bodies.append(store_secret(job, defaults.keys))
    return bodies


def _new_pods(
    scene: _Scene,
    prepared: Prepared,
    record: Record,
    server: SitePlan,
    workers: Mapping[str, SitePlan],
) -> list[Body]:
    job, defaults = scene.job, scene.observed.defaults
    kit_set = survey(job, scene.observed.facts, record, scene.mine, scene.now).kit_set
    image = prepared.image.reference if prepared.image is not None else ""
    pods: list[Body] = []
    if server.create is not None:
        config = _server_config(job, prepared, kit_set)
        pods.append(server_pod(job, image, server.create, config, defaults))
    gpus = bool(record.gpus)
    for index, (name, site) in enumerate(workers.items()):
        if site.create is not None:
            config = _worker_config(job, prepared, index, kit_set, gpus=gpus)
            pods.append(worker_pod(job, name, image, site.create, config, defaults, gpus=gpus))
    return pods


def _unwanted(
    scene: _Scene,
    preparation: Preparation,
    wanted: Iterable[Body],
    server: SitePlan,
    workers: Mapping[str, SitePlan],
) -> list[Body]:
    """Objects of ours that are not wanted any more; the record is wanted as long as the job is."""
    going = {("Pod", pod.name) for site in (server, *workers.values()) for pod in site.delete}
    strange = {site for site in scene.pods if site != SERVER and site not in workers}
    going |= {("Pod", pod.name) for site in strange for pod in scene.pods_of(site)}
    keep = {_key(body) for body in wanted} | preparation.kept
    keep.add(("ConfigMap", record_name(scene.job.metadata.name)))
    going |= {key for key in scene.mine if key[0] != "Pod" and key not in keep}
    return [
        scene.mine[key]
        for key in sorted(going)
        if not scene.mine[key]["metadata"].get("deletionTimestamp")
    ]


def _held(scene: _Scene, wanted: Iterable[Body]) -> set[ChildKey]:
    taken = {key for key in scene.observed.children if key not in scene.mine}
    taken |= scene.observed.facts.held
    return {key for key in map(_key, wanted) if key in taken}


def _unstarted(record: Record, before: Record) -> Record:
    """The record without the starts that a held name keeps from happening."""
    return record.model_copy(update={"server": before.server, "workers": before.workers})


def _record(scene: _Scene, record: Record) -> Body | None:
    body = record_map(scene.job, record)
    have = scene.mine.get(_key(body))
    return body if have is None or _drifted(body, have) else None


def _deadline(scene: _Scene, record: Record) -> float | None:
    deadline = scene.job.spec.run_policy.active_deadline_seconds
    if deadline is None or record.started is None:
        return None
    return max(0.0, record.started + deadline - scene.now)


def _ended_early(workers: Mapping[str, SitePlan], said: ServerStatus | None) -> bool:
    pods = [site.pod for site in workers.values() if site.pod is not None]
    return said is not None and any(pod.phase == "Succeeded" for pod in pods)


def _unheard(
    server: SitePlan, said: ServerStatus | None, scene: _Scene
) -> frozenset[Stage]:
    """A server that ended well without our hearing it: the log of rounds tells what it did."""
    ended = server.pod is not None and server.pod.phase == "Succeeded"
    heard = said is not None and said.phase is RunPhase.COMPLETE
    problem = scene.observed.facts.problems.get(Stage.LOG)
    waits = problem is not None and problem.retry_at > scene.now
    needed = ended and not heard and scene.observed.facts.stored is None and not waits
    return frozenset({Stage.LOG}) if needed else frozenset()


def _losses(server: SitePlan, workers: Mapping[str, SitePlan]) -> Iterable[News]:
    for name, site in (("server", server), *workers.items()):
        if site.lost:
            message = f"{name} is replaced ({site.lost}); restart {site.site.total}"
            yield News("Warning", "Recovering", message)


def _key(body: Body) -> ChildKey:
    return body["kind"], body["metadata"]["name"]


def _drifted(want: Body, have: Body | None) -> bool:
    if have is None:
        return False
    return annotation(want, DIGEST) != annotation(have, DIGEST) or not _subset(want, have)


def _subset(want: Any, have: Any) -> bool:
    """Whether every field that we set has our value; what others added is theirs."""
    if isinstance(want, dict):
        return isinstance(have, dict) and all(
            key in have and _subset(value, have[key]) for key, value in want.items()
        )
    if isinstance(want, list):
        return (
            isinstance(have, list)
            and len(want) == len(have)
            and all(map(_subset, want, have))
        )
    return bool(want == have)
