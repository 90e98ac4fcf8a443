"""The shell around the plan, as far as it is pure: what was seen, settings, names, keys, faults."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from fedjob.errors import Fault, FedjobError, InvalidInputError
from fedjob.reasons import Reason
from fedjob.storage import errors as store_errors
from fedjob.storage.layout import Layout
from fedjob_operator.controller.reconciler import gpus_of
from fedjob_operator.controller.resync import look_for_overdue
from fedjob_operator.kube.client import ApiError, path_of
from fedjob_operator.kube.event_recorder import event_body, event_name
from fedjob_operator.kube.leader_election import is_free
from fedjob_operator.logs import JsonLines
from fedjob_operator.naming import Body
from fedjob_operator.planning.store_location import check_store, location_of
from fedjob_operator.settings import read_settings
from fedjob_operator.stages.errors import InputError, StageError
from fedjob_operator.stages.job_store import keys_of
from fedjob_operator.stages.shards import split_uri
from fedjob_operator.stages.startup_kits import kits_command
from fedjob_operator.stages.workspace import checksum, object_key
from fedjob_operator.state.actions import EventNote
from fedjob_operator.state.cache import Cache, newer
from fedjob_operator.state.observed import Observations, Problem, Stage
from fedjob_operator.times import epoch, rfc3339
from support.operator_samples import DEFAULTS, NOW, UID, a_job, observed_of, prepared_of

KEY = ("team", "digits")


def pod(version: int, uid: str = "p") -> Body:
    labels = {"fedjob.dev/job": "digits"}
    meta = {"name": "digits-server", "namespace": "team", "uid": uid, "labels": labels}
    return {"metadata": {**meta, "resourceVersion": str(version)}}


def test_the_later_version_stays_and_another_object_is_always_later() -> None:
    assert newer(pod(5), pod(4)) == pod(5)
    assert newer(pod(5), pod(6)) == pod(6)
    assert newer(pod(5), pod(1, "q")) == pod(1, "q")
    assert newer(None, pod(1)) == pod(1)


def test_the_world_keeps_up_with_events() -> None:
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


@pytest.mark.parametrize(
    ("found", "left"), [(None, 0), (pod(9, "another"), 1), (pod(9), 1)], ids=["gone", "new", "same"]
)
def test_a_pod_that_should_have_gone_is_asked_for(found: Body | None, left: int) -> None:
    asked: list[str] = []

    class OnePod:
        async def get(self, version: str, kind: str, namespace: str, name: str) -> Body | None:
            asked.append(f"{version} {kind} {namespace}/{name}")
            return found

    world = Cache(DEFAULTS)
    world.saw_job(observed_of(a_job()).body)
    world.saw_child("Pod", pod(3))
    cluster: Any = OnePod()
    asyncio.run(look_for_overdue(cluster, world, [pod(3)]))
    assert asked == ["v1 Pod team/digits-server"]
    children = world.observe(KEY).children
    assert len(children) == left
    if found is not None:
        assert children["Pod", "digits-server"]["metadata"]["uid"] == found["metadata"]["uid"]


def test_word_of_what_has_ended_is_late() -> None:
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


def test_facts_belong_to_one_job_not_to_its_name() -> None:
    world = Cache(DEFAULTS)
    body = observed_of(a_job()).body
    world.saw_job(body)
    world.learn(KEY, prepared=prepared_of(a_job()))
    world.trouble(KEY, Stage.IMAGE, Problem("RegistryRefused", "", NOW))
    assert world.facts(KEY).prepared is not None
    assert set(world.facts(KEY).problems) == {Stage.IMAGE}
    world.trouble(KEY, Stage.IMAGE, None)
    assert not world.facts(KEY).problems
    world.saw_job({**body, "metadata": {**body["metadata"], "uid": "reborn"}})
    assert world.facts(KEY) == Observations()
    assert not world.is_listed(UID)
    world.list_children(KEY, UID, [{**pod(1), "kind": "Pod"}])
    assert world.is_listed(UID)
    assert ("Pod", "digits-server") in world.observe(KEY).children


def test_settings_come_from_the_environment() -> None:
    given = {
        "FEDJOB_NAMESPACES": "a, b",
        "FEDJOB_STORE_BUCKET": "jobs",
        "FEDJOB_POLL": "proxy",
        "FEDJOB_NETWORK_POLICIES": "false",
        "AWS_ACCESS_KEY_ID": "k",
        "AWS_SECRET_ACCESS_KEY": "s",
    }
    settings = read_settings(given)
    assert settings.namespaces == ["a", "b"]
    defaults = settings.defaults(given)
    assert (defaults.bucket, defaults.open_status, defaults.policies) == ("jobs", True, False)
    assert defaults.keys == {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}
    assert not settings.defaults({"AWS_ACCESS_KEY_ID": "k"}).keys
    assert "s" not in repr(defaults.keys) or "keys" not in repr(defaults)


def test_settings_that_cannot_be_used_are_all_named() -> None:
    with pytest.raises(InvalidInputError) as caught:
        read_settings({"FEDJOB_POLL": "often", "FEDJOB_WORKERS": "0"})
    assert [f.field for f in caught.value.faults] == ["FEDJOB_POLL", "FEDJOB_WORKERS"]


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        (("v1", "Pod", "team", "p"), "/api/v1/namespaces/team/pods/p"),
        (("v1", "Node"), "/api/v1/nodes"),
        (
            ("fedjob.dev/v1alpha1", "FederatedJob", "team", "j", "status"),
            "/apis/fedjob.dev/v1alpha1/namespaces/team/federatedjobs/j/status",
        ),
    ],
)
def test_paths(arguments: tuple[str, ...], path: str) -> None:
    assert path_of(*arguments) == path


@pytest.mark.parametrize(
    ("spec", "unchanged", "free"),
    [
        (None, 0, True),
        ({"holderIdentity": ""}, 0, True),
        ({"holderIdentity": "me"}, 0, True),
        ({"holderIdentity": "you"}, 5, False),
        ({"holderIdentity": "you"}, 31, True),
        # Another machine's clock is not believed.
        ({"holderIdentity": "you", "renewTime": rfc3339(NOW - 3600)}, 5, False),
        ({"holderIdentity": "you", "leaseDurationSeconds": 60}, 31, False),
    ],
)
def test_a_lease_is_taken_when_it_has_run_out(
    spec: dict[str, Any] | None, unchanged: float, free: bool
) -> None:
    assert is_free(None if spec is None else {"spec": spec}, "me", unchanged) is free


def test_the_same_words_about_a_job_are_one_event() -> None:
    job = observed_of(a_job()).body
    news = EventNote("Warning", "BucketMissing", "m" * 5000)
    body = event_body(job, news, 3, NOW, NOW + 60)
    assert body["metadata"]["name"] == event_name(job, news)
    assert event_name(job, EventNote("Normal", "BucketMissing", "m")) != event_name(job, news)
    assert len(body["message"]) <= 1024
    assert (body["count"], body["involvedObject"]["uid"]) == (3, UID)


WHERE = store_errors.Where("b", "e", "k")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (store_errors.StoreUnreachableError(WHERE, "p", "f"), "StoreUnreachable"),
        (store_errors.BucketMissingError(WHERE, "p", "f"), "BucketMissing"),
        (store_errors.CredentialsRefusedError(WHERE, "p", "f"), "CredentialsRefused"),
        (store_errors.ObjectChangedError(WHERE, "p", "f"), "StoreUnreachable"),
        (
            InputError(Reason.SHARDS_MISSING, InvalidInputError([Fault("a", "b", "c")])),
            "ShardsMissing",
        ),
        (InvalidInputError([Fault("a", "b", "c")]), "SpecInvalid"),
        (StageError(Reason.NO_SPACE, "x"), "NoSpace"),
        (ApiError("GET /x", 403, "Forbidden", "no"), "AdmissionRefused"),
        (FedjobError("?"), "InternalError"),
    ],
)
def test_every_error_has_a_reason_of_the_catalogue(error: FedjobError, reason: str) -> None:
    assert error.reason is Reason(reason)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        (None, "does not exist; create it: kubectl -n team create secret"),
        ({"data": {"AWS_ACCESS_KEY_ID": "a2V5"}}, "has no AWS_SECRET_ACCESS_KEY"),
        ({}, "has no AWS_ACCESS_KEY_ID and no AWS_SECRET_ACCESS_KEY"),
    ],
)
def test_a_secret_without_keys_is_explained(secret: Body | None, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        keys_of(secret, "team", "mine")
    assert caught.value.reason == Reason.CREDENTIALS_REFUSED


def test_the_keys_of_a_secret_are_taken_without_line_ends() -> None:
    data = {"AWS_ACCESS_KEY_ID": "a2V5Cg==", "AWS_SECRET_ACCESS_KEY": "c2VjcmV0", "other": "eA=="}
    found = keys_of({"data": data}, "team", "mine")
    assert found == {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}


def test_a_job_takes_its_own_store_before_the_operators() -> None:
    own = a_job(
        storage={
            "bucket": "mine",
            "prefix": "p",
            "endpoint": "https://s3.example.com",
            "region": "eu-1",
            "secretRef": {"name": "k"},
        }
    )
    found = location_of(own, DEFAULTS)
    assert (found.bucket, found.prefix, found.region) == ("mine", "p", "eu-1")
    assert location_of(a_job(), DEFAULTS).endpoint == DEFAULTS.endpoint
    with pytest.raises(InvalidInputError) as caught:
        check_store(a_job(), type(DEFAULTS)())
    fields = [fault.field for fault in caught.value.faults]
    assert fields == ["spec.storage.bucket", "spec.storage.secretRef"]


def test_the_job_folder_has_its_places_in_the_store() -> None:
    layout = Layout("team", "digits")
    found = {
        path: object_key(layout, path).removeprefix(layout.root)
        for path in (
            "app/custom/model_def.py",
            "app/config/a.json",
            "meta.json",
            "requirements.txt",
        )
    }
    assert list(found.values()) == [
        "scripts/model_def.py",
        "configs/a.json",
        "configs/meta.json",
        "requirements/requirements.txt",
    ]
    assert checksum({"a": b"bc"}) != checksum({"ab": b"c"})
    assert checksum({"a": b"1", "b": b"2"}) == checksum({"b": b"2", "a": b"1"})


def test_kits_are_for_the_names_under_which_the_server_is_reached() -> None:
    command = kits_command(a_job(), 2, Path("/out"))
    assert command[command.index("--server-name") + 1] == "digits-server"
    assert "digits-server.team.svc" in command
    assert "digits-server.team.svc.cluster.local" in command
    assert command[-4:] == ["--worker", "worker-0", "--worker", "worker-1"]


def test_gpus_are_counted_where_pods_may_go() -> None:
    node: Body = {"status": {"allocatable": {"nvidia.com/gpu": "4"}}}
    assert gpus_of(node) == 4
    assert gpus_of({**node, "spec": {"unschedulable": True}}) == 0
    assert gpus_of({}) == 0
    assert split_uri("s3://bucket/a/b") == ("bucket", "a/b")


def test_times_are_read_as_they_are_written() -> None:
    assert epoch(rfc3339(NOW)) == NOW
    assert epoch("2027-01-15T08:00:00.123456Z") == pytest.approx(NOW, abs=1)
    assert epoch("2027-01-15T08:00:00") == NOW
    assert epoch(None) is None
    assert epoch("never") is None


def test_a_log_line_is_one_object() -> None:
    record = logging.makeLogRecord({"msg": "hello %s", "args": ("you",), "job": "team/digits"})
    line = json.loads(JsonLines().format(record))
    assert (line["message"], line["job"]) == ("hello you", "team/digits")
