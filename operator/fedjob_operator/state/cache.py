"""The operator's cache: fed by watch events, by its own writes, and by one list for each job.

Read-your-writes: the API server's answer to a write counts as an event, so the next reconcile
never plans from before the operator's own last write. Versions are compared by resourceVersion.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fedjob_operator.naming import JOB, Body, Key
from fedjob_operator.state.observed import (
    ChildKey,
    Defaults,
    Observations,
    Observed,
    Problem,
    Stage,
)

MOST_DELETED_UIDS = 16384
"""Uids of deleted objects that are kept, to ignore events and answers that arrive late."""


def newer(old: Body | None, new: Body) -> Body:
    """The later of two versions of an object; another uid is always later."""
    if old is None or old["metadata"].get("uid") != new["metadata"].get("uid"):
        return new
    return new if _version(new) >= _version(old) else old


def _version(body: Body) -> int:
    text = str(body["metadata"].get("resourceVersion", "0"))
    return int(text) if text.isdigit() else 0


class Cache:
    """Jobs, their children, and the other observations about them."""

    def __init__(self, defaults: Defaults) -> None:
        self._defaults = defaults
        self._jobs: dict[Key, Body] = {}
        self._children: dict[Key, dict[ChildKey, Body]] = {}
        self._observations: dict[Key, tuple[str, Observations]] = {}
        self._listed: set[str] = set()
        self._deleted: dict[str, None] = {}

    def all_keys(self) -> list[Key]:
        """The key of every known job."""
        return list(self._jobs)

    def all_jobs(self) -> list[Body]:
        """Every known job."""
        return list(self._jobs.values())

    def all_children(self, kind: str) -> list[Body]:
        """Every known child of a kind."""
        return [
            body
            for children in self._children.values()
            for (found, _), body in children.items()
            if found == kind
        ]

    def job(self, key: Key) -> Body | None:
        """The latest known version of the job; None where there is none."""
        return self._jobs.get(key)

    def saw_job(self, body: Body, *, deleted: bool = False) -> Key:
        """Takes in an event about a job, or the answer to a write of it."""
        meta = body["metadata"]
        key = (meta["namespace"], meta["name"])
        if self._is_late(body, deleted=deleted):
            return key
        if not deleted:
            self._jobs[key] = newer(self._jobs.get(key), body)
        elif self._same(self._jobs.get(key), body):
            del self._jobs[key]
            self._observations.pop(key, None)
            self._listed.discard(str(meta.get("uid")))
        return key

    def saw_child(self, kind: str, body: Body, *, deleted: bool = False) -> Key | None:
        """Takes in an event about a child, or the answer to a write of it.

        Returns:
            The key of its job; None where the object belongs to none.
        """
        meta = body["metadata"]
        job = (meta.get("labels") or {}).get(JOB)
        if not job:
            return None
        key, child = (meta["namespace"], job), (kind, meta["name"])
        if self._is_late(body, deleted=deleted):
            return key
        children = self._children.setdefault(key, {})
        if not deleted:
            children[child] = newer(children.get(child), {**body, "kind": kind})
        elif self._same(children.get(child), body):
            del children[child]
        if not children:
            self._children.pop(key, None)
        return key

    def is_listed(self, uid: str) -> bool:
        """Whether the job's children have been listed in this process."""
        return uid in self._listed

    def list_children(self, key: Key, uid: str, bodies: list[Body]) -> None:
        """Replaces what is known of a job's children by what the API server listed."""
        known = self._children.get(key, {})
        found = {(b["kind"], b["metadata"]["name"]): b for b in bodies if not self._is_late(b)}
        self._children[key] = {child: newer(b, known.get(child, b)) for child, b in found.items()}
        self._listed.add(uid)

    def observations(self, key: Key) -> Observations:
        """What is known beside objects; another job of the same name begins with nothing."""
        uid = self._uid(key)
        known, observations = self._observations.get(key, ("", Observations()))
        return observations if known == uid else Observations()

    def learn(self, key: Key, **changes: Any) -> None:
        """Replaces fields of a job's observations."""
        self._observations[key] = (self._uid(key), replace(self.observations(key), **changes))

    def set_problem(self, key: Key, stage: Stage, problem: Problem | None) -> None:
        """Notes that a stage failed; None: that it succeeded."""
        problems = {s: p for s, p in self.observations(key).problems.items() if s is not stage}
        if problem is not None:
            problems[stage] = problem
        self.learn(key, problems=problems)

    def observe(self, key: Key) -> Observed:
        """Everything that is known about a job at this moment."""
        children = dict(self._children.get(key, {}))
        return Observed(
            body=self._jobs[key],
            children=children,
            observations=self.observations(key),
            defaults=self._defaults,
        )

    def _uid(self, key: Key) -> str:
        body = self._jobs.get(key)
        return str(body["metadata"].get("uid")) if body is not None else ""

    def _is_late(self, body: Body, *, deleted: bool = False) -> bool:
        """Whether this version arrives after the object's deletion is known.

        A uid is never used again, so a deleted object stays deleted.
        """
        uid = str(body["metadata"].get("uid"))
        if not deleted:
            return uid in self._deleted
        self._deleted[uid] = None
        while len(self._deleted) > MOST_DELETED_UIDS:
            del self._deleted[next(iter(self._deleted))]
        return False

    @staticmethod
    def _same(known: Body | None, body: Body) -> bool:
        return known is not None and known["metadata"].get("uid") == body["metadata"].get("uid")
