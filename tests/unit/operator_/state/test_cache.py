"""The cache keeps the latest version of everything, and ignores late events."""

from __future__ import annotations

import pytest

from fedjob_operator.naming import Body
from fedjob_operator.state import cache as module
from fedjob_operator.state.cache import Cache, newer
from fedjob_operator.state.observed import Observations, Problem, Stage
from support.operator_samples import (
    DEFAULTS,
    NOW,
    UID,
    a_job,
    observed_of,
    prepared_of,
)

KEY = ("team", "digits")


def pod(version: int, uid: str = "p") -> Body:
    labels = {"fedjob.dev/job": "digits"}
    meta = {"name": "digits-server", "namespace": "team", "uid": uid, "labels": labels}
    return {"metadata": {**meta, "resourceVersion": str(version)}}


def test_later_version_wins_and_another_uid_is_always_later() -> None:
    assert newer(pod(5), pod(4)) == pod(5)
    assert newer(pod(5), pod(6)) == pod(6)
    assert newer(pod(5), pod(1, "q")) == pod(1, "q")
    assert newer(None, pod(1)) == pod(1)


def test_cache_follows_events() -> None:
    world = Cache(DEFAULTS)
    body = observed_of(a_job()).body
    assert world.saw_job(body) == KEY
    assert world.saw_child("Pod", pod(3)) == KEY
    assert world.saw_child("Pod", pod(2)) == KEY
    seen = world.observe(KEY).children["Pod", "digits-server"]
    assert (seen["kind"], seen["metadata"]["resourceVersion"]) == ("Pod", "3")
    world.saw_child("Pod", pod(9, "another"), deleted=True)  # the end of an earlier one
    assert world.observe(KEY).children
    world.saw_child("Pod", pod(4), deleted=True)
    assert not world.observe(KEY).children
    assert world.saw_child("Pod", {"metadata": {"name": "x", "namespace": "team"}}) is None
    assert world.all_keys() == [KEY]
    world.saw_job({**body, "metadata": {**body["metadata"], "uid": "older"}}, deleted=True)
    assert world.job(KEY) is not None
    world.saw_job(body, deleted=True)
    assert world.job(KEY) is None


def test_versions_of_deleted_objects_are_ignored() -> None:
    """An answer or a list that was on its way when the end was told."""
    world = Cache(DEFAULTS)
    body = observed_of(a_job()).body
    world.saw_job(body)
    world.saw_child("Pod", pod(3))
    world.saw_child("Pod", pod(4), deleted=True)
    world.saw_child("Pod", pod(3))
    world.list_children(KEY, UID, [{**pod(3), "kind": "Pod"}, {**pod(7, "next"), "kind": "Pod"}])
    assert [b["metadata"]["uid"] for b in world.all_children("Pod")] == ["next"]
    world.saw_child("Pod", pod(9, "next"))
    world.list_children(KEY, UID, [{**pod(8, "next"), "kind": "Pod"}])
    assert [b["metadata"]["resourceVersion"] for b in world.all_children("Pod")] == ["9"]
    world.saw_job(body, deleted=True)
    world.saw_job(body)
    assert world.all_jobs() == []


def test_observations_belong_to_a_uid_not_to_a_name() -> None:
    world = Cache(DEFAULTS)
    body = observed_of(a_job()).body
    world.saw_job(body)
    world.learn(KEY, prepared=prepared_of(a_job()))
    world.set_problem(KEY, Stage.IMAGE, Problem("RegistryRefused", "", NOW))
    assert world.observations(KEY).prepared is not None
    assert set(world.observations(KEY).problems) == {Stage.IMAGE}
    world.set_problem(KEY, Stage.IMAGE, None)
    assert not world.observations(KEY).problems
    world.saw_job({**body, "metadata": {**body["metadata"], "uid": "reborn"}})
    assert world.observations(KEY) == Observations()
    assert not world.is_listed(UID)
    world.list_children(KEY, UID, [{**pod(1), "kind": "Pod"}])
    assert world.is_listed(UID)
    assert ("Pod", "digits-server") in world.observe(KEY).children


def test_only_so_many_deleted_uids_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_DELETED_UIDS", 2)
    cache = Cache(DEFAULTS)
    for uid in ("one", "two", "three"):
        cache.saw_child("Pod", pod(1, uid), deleted=True)
    for uid in ("two", "three"):
        cache.saw_child("Pod", pod(2, uid))
    assert cache.all_children("Pod") == []
    cache.saw_child("Pod", pod(2, "one"))
    assert [body["metadata"]["uid"] for body in cache.all_children("Pod")] == ["one"]
