"""What is prepared for a job, what is missing, and which stages should run now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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
from fedjob_operator.planning.job_view import JobView
from fedjob_operator.planning.transfers import upload_wait
from fedjob_operator.resources.secrets import (
    kit_secret,
    last_files,
    last_log,
    url_expires,
    url_secret,
)
from fedjob_operator.state.observed import ChildKey, Stage
from fedjob_operator.state.record import Prepared, Record, ShardPlace

_LATER_FIELDS = (
    ("federation", "strategy"),
    ("federation", "stop_when"),
    ("federation", "best_model"),
    ("shards", "upload"),
    ("workers", "keep_files"),
    ("model", "upload"),
    ("model", "source", "upload"),
)
"""Paths of optional fields that the first digests did not cover."""


FEW_ROUNDS = 32
"""Rounds ahead for which forms must exist: a Secret takes a minute or more to reach a pod."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """Progress of the stages.

    Attributes:
        prepared: Inputs, workspace and image; None before the inputs were read.
        complete: Whether pods can be started.
        stages: Stages to run now.
        again: Seconds until another stage is due; None when none will be.
        kit_set: Name of the set of startup kits; empty where there is none.
        secrets: Secrets as they should be.
        kept: Names of Secrets that are right as they are, whatever they contain.
    """

    prepared: Prepared | None
    complete: bool
    stages: frozenset[Stage]
    again: float | None = None
    kit_set: str = ""
    secrets: tuple[Body, ...] = ()
    kept: frozenset[ChildKey] = frozenset()


def inputs_digest(job: FederatedJob) -> str:
    """Hash of what the job folder and the list of shards depend on."""
    sections = ("model", "shards", "training", "components", "storage", "federation")
    dumped = _dump(job)
    return digest_of({name: dumped[name] for name in sections})


def image_digest(job: FederatedJob) -> str:
    """Hash of what the image depends on.

    The operator's own base image is left out: upgrading the operator leaves running jobs alone.
    """
    return digest_of([inputs_digest(job), job.spec.image.model_dump(mode="json")])


def spec_digest(job: FederatedJob) -> str:
    """Hash of the spec without ttlSecondsAfterFinished, which changes nothing about a run."""
    return digest_of(_dump(job, exclude={"run_policy": {"ttl_seconds_after_finished"}}))


def _dump(job: FederatedJob, exclude: Any = None) -> Body:
    """The spec as it is hashed; fields that came later count only where they are set.

    An operator that knows a new field must find the digests that its predecessor wrote.
    """
    dumped: Body = job.spec.model_dump(mode="json", exclude=exclude)
    for *outer, name in _LATER_FIELDS:
        section = dumped
        for each in outer:
            section = section[each]
        if section[name] is None:
            del section[name]
    return dumped


def survey(view: JobView, record: Record) -> Preparation:
    """Checks everything that a pod needs before it is started, and while it runs.

    Args:
        view: The job and what exists of it.
        record: The record as the plan has changed it so far.
    """
    job = view.job
    current = inputs_digest(job)
    candidates = (view.observations.prepared, record.prepared)
    prepared = next((p for p in candidates if p is not None and p.made_from == current), None)
    if prepared is None:
        wait = upload_wait(view)
        stages, again = _due(view, {Stage.INPUTS if wait is None else Stage.UPLOADS})
        if wait:
            return Preparation(
                prepared=None, complete=False, stages=frozenset(), again=max(wait, again or 0.0)
            )
        return Preparation(prepared=None, complete=False, stages=stages, again=again)
    missing: set[Stage] = set()
    if not prepared.workspace:
        missing.add(Stage.WORKSPACE)
    if prepared.image is None or prepared.image.made_from != image_digest(job):
        missing.add(Stage.IMAGE)
    kit_set, kits, kept = _kits(view, len(prepared.workers))
    if not kit_set:
        missing.add(Stage.KITS)
    urls = _urls(view, prepared.workers)
    if not urls.complete:
        missing.add(Stage.URLS)
    wanted = set(missing)
    renewal = urls.expires - view.defaults.url_seconds / 2 - view.now
    if renewal < 0 or not urls.forms:
        wanted.add(Stage.URLS)
    stages, again = _due(view, wanted)
    if renewal > 0:
        again = renewal if again is None else min(again, renewal)
    names = worker_names(len(prepared.workers))
    return Preparation(
        prepared=prepared,
        complete=not missing,
        stages=stages,
        again=again,
        kit_set=kit_set,
        secrets=(*kits, *urls.secrets),
        kept=kept | {("Secret", url_name(job.metadata.name, name)) for name in names},
    )


def _due(view: JobView, wanted: set[Stage]) -> tuple[frozenset[Stage], float | None]:
    """The stages to run now, and seconds until the next of the others may be tried again."""
    spec = spec_digest(view.job)
    waits = {
        stage: problem.retry_at - view.now
        for stage, problem in view.observations.problems.items()
        if stage in wanted and problem.made_from == spec and problem.retry_at > view.now
    }
    return frozenset(wanted - waits.keys()), min(waits.values(), default=None)


def _kits(view: JobView, workers: int) -> tuple[str, tuple[Body, ...], frozenset[ChildKey]]:
    """Name of the set, Secrets to write, and the names of all its Secrets."""
    job, made = view.job, view.observations.kits
    holders = [SERVER, "admin", *worker_names(workers)]
    keys = {holder: ("Secret", kit_name(job.metadata.name, holder)) for holder in holders}
    kept = frozenset(keys.values())
    sets = _kit_sets(view.owned, keys)
    if len(sets) == 1 and (found := sets.pop()):
        return found, (), kept
    if made is None or not made.files.keys() >= keys.keys():
        return "", (), kept
    bodies = tuple(kit_secret(job, holder, made.name, made.files[holder]) for holder in holders)
    return made.name, bodies, kept


def _kit_sets(owned: Mapping[ChildKey, Body], keys: Mapping[str, ChildKey]) -> set[str]:
    """The sets that the existing kits belong to; an empty name where one is missing."""
    return {annotation(owned[key], KIT_SET) if key in owned else "" for key in keys.values()}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Urls:
    """The presigned URLs of the workers.

    Attributes:
        secrets: Secrets to write.
        complete: Whether every worker has a URL.
        expires: When the first of them expires, seconds since the epoch.
        forms: Whether every worker has a form for the log of its current pod and, where the job
            keeps files, for the next rounds.
    """

    secrets: tuple[Body, ...]
    complete: bool
    expires: float
    forms: bool


def _urls(view: JobView, shards: list[ShardPlace]) -> _Urls:
    bodies: list[Body] = []
    expiries: list[float] = []
    forms = True
    keeps = view.job.spec.workers.keep_files is not None
    total = view.job.spec.federation.num_rounds
    status = view.server_status()
    needed = min((status.completed if status is not None else 0) + FEW_ROUNDS, total)
    for worker, shard in zip(worker_names(len(shards)), shards, strict=True):
        key = f"{shard.bucket}/{shard.key}"
        secret = view.owned.get(("Secret", url_name(view.job.metadata.name, worker)))
        expires = url_expires(secret, key)
        signed = view.observations.urls.get(worker)
        last = last_log(secret)
        files = last_files(secret)
        newer = signed is not None and (
            signed.expires >= expires + 1 or (signed.last_log, signed.last_files) > (last, files)
        )
        if signed is not None and signed.key == key and newer:
            bodies.append(url_secret(view.job, worker, signed))
            expires, last, files = signed.expires, signed.last_log, signed.last_files
        expiries.append(expires)
        slot = view.record.workers.get(worker)
        forms = forms and last >= (slot.ordinal if slot is not None else 0)
        forms = forms and (not keeps or files >= needed)
    return _Urls(
        secrets=tuple(bodies),
        complete=all(expires > 0 for expires in expiries),
        expires=min(expiries, default=float("inf")),
        forms=forms,
    )
