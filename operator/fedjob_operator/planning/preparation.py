"""What is prepared, what is not, and which stages should run now. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fedjob.spec.models.job import FederatedJob
from fedjob_operator.naming import (
    KIT_SET,
    SERVER,
    Body,
    annotation,
    digest_of,
    kit_name,
    url_name,
    worker_names,
)
from fedjob_operator.resources.secrets import kit_secret, url_expires, url_secret
from fedjob_operator.state.observed import ChildKey, Observations, Stage
from fedjob_operator.state.record import Prepared, Record, ShardPlace


@dataclass(frozen=True, slots=True)
class Preparation:
    """How far it is.

    Attributes:
        prepared: Inputs, workspace and image; None before the inputs were read.
        complete: Pods can be started.
        stages: To run now.
        again: Seconds until a stage is due; None when none will be.
        kit_set: The set of startup kits; empty where there is none.
        wanted: Secrets as they should be.
        kept: Names of Secrets that are right as they are, whatever is in them.
    """

    prepared: Prepared | None
    complete: bool
    stages: frozenset[Stage]
    again: float | None = None
    kit_set: str = ""
    wanted: tuple[Body, ...] = ()
    kept: frozenset[ChildKey] = frozenset()


def inputs_digest(job: FederatedJob) -> str:
    """Hash of what the job folder and the list of shards follow from."""
    sections = {"model", "shards", "training", "components", "storage", "federation"}
    return digest_of(job.spec.model_dump(mode="json", include=sections))


def image_digest(job: FederatedJob) -> str:
    """Hash of what the image follows from.

    The operator's own base image is left out: a new operator leaves running jobs alone.
    """
    return digest_of([inputs_digest(job), job.spec.image.model_dump(mode="json")])


def survey(
    job: FederatedJob,
    facts: Observations,
    record: Record,
    mine: Mapping[ChildKey, Body],
    now: float,
    renew: float,
) -> Preparation:
    """Surveys everything a pod needs before it is started, and while it runs.

    Args:
        job: The job.
        facts: What is known beside objects.
        record: What is remembered.
        mine: Children that the job owns.
        now: Seconds since the epoch.
        renew: A presigned URL that has less than this many seconds left is renewed.
    """
    current = inputs_digest(job)
    candidates = (facts.prepared, record.prepared)
    prepared = next((p for p in candidates if p is not None and p.made_from == current), None)
    if prepared is None:
        stages, again = _due({Stage.INPUTS}, job, facts, now)
        return Preparation(None, False, stages, again)
    missing: set[Stage] = set()
    if not prepared.workspace:
        missing.add(Stage.WORKSPACE)
    if prepared.image is None or prepared.image.made_from != image_digest(job):
        missing.add(Stage.IMAGE)
    kit_set, kits, kept = _kits(job, facts, mine, len(prepared.workers))
    if not kit_set:
        missing.add(Stage.KITS)
    urls, ready, ends = _urls(job, facts, mine, prepared.workers)
    if not ready:
        missing.add(Stage.URLS)
    due = set(missing)
    if ends - now < renew:
        due.add(Stage.URLS)
    stages, again = _due(due, job, facts, now)
    renewal = ends - renew - now
    if renewal > 0:
        again = renewal if again is None else min(again, renewal)
    names = worker_names(len(prepared.workers))
    kept |= {("Secret", url_name(job.metadata.name, name)) for name in names}
    return Preparation(prepared, not missing, stages, again, kit_set, (*kits, *urls), kept)


def _due(
    wanted: set[Stage], job: FederatedJob, facts: Observations, now: float
) -> tuple[frozenset[Stage], float | None]:
    """The stages to run now, and when the next of the others may be tried again."""
    spec = spec_digest(job)
    waits = {
        stage: problem.retry_at - now
        for stage, problem in facts.problems.items()
        if stage in wanted and problem.made_from == spec and problem.retry_at > now
    }
    return frozenset(wanted - waits.keys()), min(waits.values(), default=None)


def spec_digest(job: FederatedJob) -> str:
    """Hash of the spec, without what only says when the finished job is deleted."""
    return digest_of(
        job.spec.model_dump(mode="json", exclude={"run_policy": {"ttl_seconds_after_finished"}})
    )


def _kits(
    job: FederatedJob, facts: Observations, mine: Mapping[ChildKey, Body], workers: int
) -> tuple[str, tuple[Body, ...], frozenset[ChildKey]]:
    """The set's name, Secrets to write, and the names of the Secrets."""
    name = job.metadata.name
    sites = [SERVER, "admin", *worker_names(workers)]
    keys = {site: ("Secret", kit_name(name, site)) for site in sites}
    there = {annotation(mine[key], KIT_SET) if key in mine else "" for key in keys.values()}
    kept = frozenset(keys.values())
    if len(there) == 1 and (found := there.pop()):
        return found, (), kept
    made = facts.kits
    if made is None or not made.files.keys() >= keys.keys():
        return "", (), kept
    bodies = tuple(kit_secret(job, site, made.name, made.files[site]) for site in sites)
    return made.name, bodies, kept


def _urls(
    job: FederatedJob, facts: Observations, mine: Mapping[ChildKey, Body], shards: list[ShardPlace]
) -> tuple[tuple[Body, ...], bool, float]:
    """Secrets to write, whether every worker has a URL, and when the first of them ends."""
    bodies: list[Body] = []
    ends = float("inf")
    ready = True
    for worker, shard in zip(worker_names(len(shards)), shards, strict=True):
        key = f"{shard.bucket}/{shard.key}"
        secret = mine.get(("Secret", url_name(job.metadata.name, worker)))
        expires = url_expires(secret, key)
        signed = facts.urls.get(worker)
        if signed is not None and signed.key == key and signed.expires >= expires + 1:
            bodies.append(url_secret(job, worker, signed))
            expires = signed.expires
        ready = ready and expires > 0
        ends = min(ends, expires)
    return tuple(bodies), ready, ends
