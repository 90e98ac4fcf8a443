"""The cache keeps the latest version of everything, and ignores late events."""

from __future__ import annotations

import pytest

from fedjob_operator.naming import Body
from fedjob_operator.state import cache as module
from fedjob_operator.state.cache import Cache, newer
from fedjob_operator.state.observed import Observations, Problem, Stage
from support.operator.samples import (
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
    cache = Cache(DEFAULTS)
    body = observed_of(a_job()).body
    assert cache.saw_job(body) == KEY
    assert cache.saw_child("Pod", pod(3)) == KEY
    assert cache.saw_child("Pod", pod(2)) == KEY
    seen = cache.observe(KEY).children["Pod", "digits-server"]
    assert (seen["kind"], seen["metadata"]["resourceVersion"]) == ("Pod", "3")
    cache.saw_child("Pod", pod(9, "another"), deleted=True)  # the end of an earlier one
    assert cache.observe(KEY).children
    cache.saw_child("Pod", pod(4), deleted=True)
    assert not cache.observe(KEY).children
    assert cache.saw_child("Pod", {"metadata": {"name": "x", "namespace": "team"}}) is None
    assert cache.all_keys() == [KEY]
    cache.saw_job({**body, "metadata": {**body["metadata"], "uid": "older"}}, deleted=True)
    assert cache.job(KEY) is not None
    cache.saw_job(body, deleted=True)
    assert cache.job(KEY) is None


def test_versions_of_deleted_objects_are_ignored() -> None:
    """An answer or a list that was under way when the deletion arrived."""
    cache = Cache(DEFAULTS)
    body = observed_of(a_job()).body
    cache.saw_job(body)
    cache.saw_child("Pod", pod(3))
    cache.saw_child("Pod", pod(4), deleted=True)
    cache.saw_child("Pod", pod(3))
    cache.list_children(KEY, UID, [{**pod(3), "kind": "Pod"}, {**pod(7, "next"), "kind": "Pod"}])
    assert [b["metadata"]["uid"] for b in cache.all_children("Pod")] == ["next"]
    cache.saw_child("Pod", pod(9, "next"))
    cache.list_children(KEY, UID, [{**pod(8, "next"), "kind": "Pod"}])
    assert [b["metadata"]["resourceVersion"] for b in cache.all_children("Pod")] == ["9"]
    cache.saw_job(body, deleted=True)
    cache.saw_job(body)
    assert cache.all_jobs() == []


def test_observations_belong_to_a_uid_not_to_a_name() -> None:
    cache = Cache(DEFAULTS)
    body = observed_of(a_job()).body
    cache.saw_job(body)
    cache.learn(KEY, prepared=prepared_of(a_job()))
    cache.set_problem(KEY, Stage.IMAGE, Problem("RegistryRefused", "", NOW))
    assert cache.observations(KEY).prepared is not None
    assert set(cache.observations(KEY).problems) == {Stage.IMAGE}
    cache.set_problem(KEY, Stage.IMAGE, None)
    assert not cache.observations(KEY).problems
    cache.saw_job({**body, "metadata": {**body["metadata"], "uid": "reborn"}})
    assert cache.observations(KEY) == Observations()
    assert not cache.is_listed(UID)
    cache.list_children(KEY, UID, [{**pod(1), "kind": "Pod"}])
    assert cache.is_listed(UID)
    assert ("Pod", "digits-server") in cache.observe(KEY).children


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
