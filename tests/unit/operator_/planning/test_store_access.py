"""A job reaches its own namespace's objects and nothing else with the operator's keys."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fedjob_operator.planning.store_access import access_faults, split_uri
from support.operator.samples import DEFAULTS, a_job

OWN = "s3://jobs/jobs/team"
SECRET = {"bucket": "mine", "secretRef": {"name": "keys"}}


def fields(defaults: Any = DEFAULTS, **spec: Any) -> list[str]:
    return [fault.field for fault in access_faults(a_job(**spec), defaults)]


def model(**more: Any) -> dict[str, Any]:
    return {"source": {"inline": "class Net: ..."}, "className": "Net", **more}


def item(uri: str) -> dict[str, Any]:
    return {"items": [{"name": "a.zip", "uri": uri}]}


def test_bucket_and_key_of_a_uri() -> None:
    assert split_uri("s3://bucket/a/b.zip") == ("bucket", "a/b.zip")


def test_job_of_defaults_only_is_allowed() -> None:
    assert fields() == []


def test_every_uri_of_the_own_namespace_is_allowed() -> None:
    found = fields(
        model=model(
            source={"uri": f"{OWN}/code/m.py"},
            files=[
                {"path": "a.txt", "uri": f"{OWN}/code/a.txt"},
                {"path": "data", "uri": f"{OWN}/d/"},
            ],
            checkpoint=f"{OWN}/first.pt",
        ),
        shards={"uri": f"{OWN}/digits/shards/"},
    )
    assert found == []
    assert fields(shards={"uri": OWN}) == []
    assert fields(shards=item(f"{OWN}/x/a.zip")) == []


ATTACKS = {
    "another namespace's shards": (
        {"shards": {"uri": "s3://jobs/jobs/victim/digits/shards/"}},
        "spec.shards.uri",
    ),
    "a namespace that begins alike": (
        {"shards": {"uri": "s3://jobs/jobs/team-b"}},
        "spec.shards.uri",
    ),
    "all namespaces": ({"shards": {"uri": "s3://jobs/jobs/"}}, "spec.shards.uri"),
    "the whole bucket": ({"shards": {"uri": "s3://jobs"}}, "spec.shards.uri"),
    "one shard of another": (
        {"shards": item("s3://jobs/jobs/victim/a.zip")},
        "spec.shards.items[0].uri",
    ),
    "another bucket": ({"shards": item("s3://other/jobs/team/a.zip")}, "spec.shards.items[0].uri"),
    "parent folders": (
        {"shards": item(f"{OWN}/../victim/a.zip")},
        "spec.shards.items[0].uri",
    ),
    "a dot": ({"shards": item(f"{OWN}/./a.zip")}, "spec.shards.items[0].uri"),
    "an empty segment": ({"shards": item(f"{OWN}//a.zip")}, "spec.shards.items[0].uri"),
    "a backslash": ({"shards": item(f"{OWN}/..\\victim/a.zip")}, "spec.shards.items[0].uri"),
    "source": (
        {"model": model(source={"uri": "s3://jobs/jobs/victim/m.py"})},
        "spec.model.source.uri",
    ),
    "checkpoint": (
        {"model": model(checkpoint="s3://jobs/jobs/victim/digits/model_out/model.safetensors")},
        "spec.model.checkpoint",
    ),
    "files": (
        {
            "model": model(
                files=[
                    {"path": "a", "text": "x"},
                    {"path": "b", "uri": "s3://jobs/jobs/victim/"},
                ]
            )
        },
        "spec.model.files[1].uri",
    ),
    "bucket": ({"storage": {"bucket": "other"}}, "spec.storage.bucket"),
    "prefix": ({"storage": {"prefix": "jobs/victim"}}, "spec.storage.prefix"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_lies_elsewhere_is_refused_with_the_operators_keys(attack: str) -> None:
    spec, field = ATTACKS[attack]
    [fault] = access_faults(a_job(**spec), DEFAULTS)
    assert fault.field == field
    assert "secretRef" in fault.fix
    if field not in {"spec.storage.bucket", "spec.storage.prefix"}:
        assert "storage.shared" in fault.fix
        assert "namespace team" in fault.problem


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_job_with_keys_of_its_own_is_held_by_those_keys(attack: str) -> None:
    spec = dict(ATTACKS[attack][0])
    spec["storage"] = {**spec.get("storage", {}), "secretRef": {"name": "keys"}}
    assert fields(**spec) == []


def test_all_faults_are_listed_at_once() -> None:
    found = fields(
        model=model(checkpoint="s3://x-y-z/first.pt", source={"uri": "s3://x-y-z/m.py"}),
        shards={"uri": "s3://x-y-z"},
        storage={"bucket": "other", "prefix": "p"},
    )
    assert found == [
        "spec.storage.bucket",
        "spec.storage.prefix",
        "spec.model.source.uri",
        "spec.model.checkpoint",
        "spec.shards.uri",
    ]


def test_operators_prefix_belongs_to_the_own_folder() -> None:
    defaults = replace(DEFAULTS, prefix="a/b")
    assert fields(defaults, shards={"uri": "s3://jobs/a/b/jobs/team/x/"}) == []
    assert fields(defaults, shards={"uri": f"{OWN}/x/"}) == ["spec.shards.uri"]
    assert fields(defaults, storage={"prefix": "a/b/"}) == []


def test_shared_data_is_read_by_every_namespace() -> None:
    defaults = replace(DEFAULTS, shared=("s3://hospital/2026/",))
    assert fields(defaults, shards={"uri": "s3://hospital/2026/"}) == []
    assert fields(defaults, shards={"uri": "s3://hospital/2026/north"}) == []
    assert fields(defaults, shards={"uri": "s3://hospital/2025/"}) == ["spec.shards.uri"]
    assert fields(defaults, shards={"uri": "s3://hospital/"}) == ["spec.shards.uri"]
    whole = replace(DEFAULTS, shared=("s3://hospital/",))
    assert fields(whole, shards={"uri": "s3://hospital"}) == []
    # Shared is for reading: a job's own objects are never written there.
    assert fields(defaults, storage={"bucket": "hospital"}) == ["spec.storage.bucket"]


def test_only_known_endpoints_are_connected_to() -> None:
    def found(endpoint: str, *allowed: str) -> list[str]:
        defaults = replace(DEFAULTS, allowed_endpoints=allowed)
        return fields(defaults, storage={**SECRET, "endpoint": endpoint})

    assert found("http://store.fedjob-system.svc:8333/") == []
    assert found("http://169.254.169.254") == ["spec.storage.endpoint"]
    assert found("http://store.fedjob-system.svc:8334") == ["spec.storage.endpoint"]
    assert found("https://s3.example.com", "https://s3.example.com:443/") == []
    assert found("http://s3.example.com", "https://s3.example.com") == ["spec.storage.endpoint"]
    assert found("http://anything.test:1", "*") == []
