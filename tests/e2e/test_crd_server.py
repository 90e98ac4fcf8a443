"""Every constraint of the CRD on a real API server: what is accepted, and what is refused and how.

The jobs are the ones that fedjob itself is tried with (tests/spec_cases.py), and two for each bound
of the schema (tests/schema_bounds.py). Nearly all are dry runs. Needs the cluster (`make cluster`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from e2e.kube import PROJECT, Answer, JobsApi, Kube, KubectlError
from fedjob.errors import InvalidInputError
from fedjob.spec.validation.parse import parse_object
from support.schema_bounds import Bound, Step, bounds_of, leaves_of, path_of, placed
from support.schema_values import another
from support.spec_cases import (
    ABSENT,
    ACCEPTED,
    API_ACCEPTS,
    API_MENDS,
    API_REFUSES,
    API_WORDS,
    REFUSED,
    job,
)

pytestmark = pytest.mark.e2e

CRD = PROJECT / "crds" / "federatedjobs.fedjob.dev.yaml"
SCHEMA = yaml.safe_load(CRD.read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
BOUNDS = list(bounds_of(SCHEMA, job({})))
LEAVES = {path_of(steps): steps for steps in leaves_of(SCHEMA)}
SUSPENDED = job({"metadata.name": "kept", "spec.runPolicy.suspend": True})
IMMUTABLE = (
    *("spec.model", "spec.shards", "spec.training", "spec.components", "spec.storage"),
    "spec.federation.jobName",
)
"""What another value of would make it another job."""


@pytest.fixture(scope="module")
def namespace(kube: Kube) -> Iterator[str]:
    with kube.crd_as_it_is():
        kube.apply_crd(CRD)
        with kube.namespace("crd") as name:
            yield name


@pytest.fixture(scope="module")
def jobs(kube: Kube, namespace: str) -> Iterator[JobsApi]:
    api = JobsApi(kube, namespace)
    yield api
    api.close()


@pytest.fixture(scope="module")
def refusals(jobs: JobsApi) -> dict[str, Answer]:
    """What the API server says to each job of REFUSED."""
    return {name: jobs.create(job(changes)) for name, (changes, *_) in REFUSED.items()}


@pytest.fixture(scope="module")
def kept(kube: Kube, jobs: JobsApi) -> Iterator[dict[str, Any]]:
    """A job that exists: suspended, so that no operator starts anything for it."""
    answer = jobs.create(SUSPENDED, dry_run=False)
    assert answer.accepted, answer.message
    yield answer.body
    kube("delete", "fj", "kept", "-n", jobs.namespace, "--wait=false")


def names(answer: Answer, field: str) -> bool:
    """Whether a refusal tells a person which field is meant: itself, or its mapping and it."""
    if f'unknown field "{field}"' in answer.message:
        return True
    for cause in answer.body.get("details", {}).get("causes", []):
        below = field.removeprefix(f"{cause['field']}.")
        if cause["field"] == field or (below != field and below in cause["message"]):
            return True
    return False


@pytest.mark.parametrize("name", [name for name in ACCEPTED if name not in API_REFUSES])
def test_what_fedjob_accepts_is_stored_and_means_the_same(jobs: JobsApi, name: str) -> None:
    """Rows 4 and 5: the API server's defaults are the models' own."""
    answer = jobs.create(job(ACCEPTED[name]))
    assert answer.accepted, answer.message
    assert parse_object(answer.body).spec == parse_object(job(ACCEPTED[name])).spec


@pytest.mark.parametrize("name", [name for name in REFUSED if name not in API_ACCEPTS | API_MENDS])
def test_what_fedjob_refuses_is_refused_by_the_field(
    refusals: dict[str, Answer], name: str
) -> None:
    answer = refusals[name]
    assert not answer.accepted
    if name in API_WORDS:
        assert API_WORDS[name][0] in answer.message
    else:
        assert names(answer, REFUSED[name][1]), answer.message


@pytest.mark.parametrize("name", API_WORDS)
def test_an_exception_for_words_is_needed(refusals: dict[str, Answer], name: str) -> None:
    assert not names(refusals[name], REFUSED[name][1])


@pytest.mark.parametrize("name", API_ACCEPTS)
def test_what_the_api_server_cannot_see_the_operator_refuses(
    refusals: dict[str, Answer], name: str
) -> None:
    assert refusals[name].accepted
    with pytest.raises(InvalidInputError) as caught:
        parse_object(refusals[name].body)
    assert [fault.field for fault in caught.value.faults] == [REFUSED[name][1]]


@pytest.mark.parametrize("name", API_MENDS)
def test_what_storing_mends_is_right_when_it_is_read(
    refusals: dict[str, Answer], name: str
) -> None:
    assert refusals[name].accepted
    parse_object(refusals[name].body)


@pytest.mark.parametrize("name", API_REFUSES)
def test_what_the_api_server_alone_refuses(jobs: JobsApi, name: str) -> None:
    answer = jobs.create(job(ACCEPTED[name]))
    assert not answer.accepted
    assert API_REFUSES[name][0] in answer.message


@pytest.mark.parametrize("bound", BOUNDS, ids=[bound.name for bound in BOUNDS])
def test_a_bound_of_the_schema(jobs: JobsApi, bound: Bound) -> None:
    answer = jobs.create(bound.job)
    assert answer.accepted == bound.accepted, answer.message
    assert bound.accepted or names(answer, bound.field), answer.message


def rules(*, of_changes: bool) -> list[tuple[str, dict[str, Any]]]:
    """(path, CEL rule) of the schema; `of_changes`: those that compare with the stored object."""

    def walk(node: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
        for rule in node.get("x-kubernetes-validations", ()):
            yield path, rule
        for name, child in node.get("properties", {}).items():
            yield from walk(child, f"{path}.{name}")
        for key, end in (("items", "[0]"), ("additionalProperties", ".a")):
            if key in node:
                yield from walk(node[key], path + end)

    found = walk(SCHEMA["properties"]["spec"], "spec")
    return [(path, rule) for path, rule in found if ("oldSelf" in rule["rule"]) == of_changes]


@pytest.mark.parametrize(
    ("path", "rule"), rules(of_changes=False), ids=lambda v: v if isinstance(v, str) else "rule"
)
def test_each_rule_over_several_fields_is_broken_by_a_case(
    refusals: dict[str, Answer], path: str, rule: dict[str, Any]
) -> None:
    blamed = path + rule.get("fieldPath", "")
    causes = [
        (cause["field"], cause["message"])
        for answer in refusals.values()
        for cause in answer.body.get("details", {}).get("causes", [])
    ]
    assert [m for f, m in causes if f == blamed and rule["message"] in m], rule


def merge_patch(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The JSON merge patch (RFC 7386) from one mapping to another."""
    patch: dict[str, Any] = dict.fromkeys(old.keys() - new.keys())
    for key, value in new.items():
        if isinstance(value, dict) and isinstance(old.get(key), dict):
            patch[key] = merge_patch(old[key], value)
        elif key not in old or old[key] != value:
            patch[key] = value
    return patch


def value_at(data: Any, steps: list[Step]) -> Any:
    for name, _ in steps:
        data = data.get(name) if isinstance(data, dict) else None
    return data


@pytest.mark.parametrize("path", LEAVES)
def test_a_field_of_a_job_that_exists_changes_or_not(
    jobs: JobsApi, kept: dict[str, Any], path: str
) -> None:
    """Another value for every field; numRounds is raised."""
    steps = LEAVES[path]
    value = another(path, steps[-1][1], value_at(kept, steps))
    patch = merge_patch(SUSPENDED, placed(SCHEMA, SUSPENDED, steps, value))
    answer = jobs.patch("kept", patch)
    section = next((s for s in IMMUTABLE if f"{path}.".startswith(f"{s}.")), None)
    if section is None:
        assert answer.accepted, answer.message
        assert value_at(answer.body, steps) == value
    else:
        assert answer.fields == {section}
        assert "cannot change: it would be another job; create one under" in answer.message


@pytest.mark.parametrize("section", ["model", "shards", "training", "components", "storage"])
def test_the_same_again_is_no_change(jobs: JobsApi, kept: dict[str, Any], section: str) -> None:
    """`kubectl apply` of the same file, with its defaults written out or not."""
    for value in (kept["spec"][section], SUSPENDED["spec"].get(section)):
        answer = jobs.patch("kept", {"spec": {section: value}})
        assert answer.accepted, answer.message


def test_each_rule_over_changes_is_of_a_field_that_the_tests_expect() -> None:
    found = [path + rule["fieldPath"] for path, rule in rules(of_changes=True)]
    assert sorted(found) == sorted([*IMMUTABLE, "spec.federation.numRounds"])


def test_rounds_rise_and_do_not_fall(kube: Kube, jobs: JobsApi) -> None:
    """For real: what was raised once is what counts."""

    def to(rounds: int) -> Answer:
        changes = {"spec": {"federation": {"numRounds": rounds}}}
        return jobs.patch("rising", changes, dry_run=False)

    body = job({"metadata.name": "rising", "spec.runPolicy.suspend": True})
    assert jobs.create(body, dry_run=False).accepted
    try:
        assert [to(rounds).accepted for rounds in (5, 7, 7)] == [True, True, True]
        for rounds in (6, 5, 1):
            answer = to(rounds)
            assert answer.fields == {"spec.federation.numRounds"}
            assert (
                "raised, not lowered: those rounds may have run; create another" in answer.message
            )
        stored = kube.get("fj", "rising", "-n", jobs.namespace)
        assert stored["spec"]["federation"]["numRounds"] == 7
    finally:
        kube("delete", "fj", "rising", "-n", jobs.namespace, "--wait=false")


def test_a_changed_name_or_namespace_is_another_object(jobs: JobsApi, kept: dict[str, Any]) -> None:
    answer = jobs.patch(kept["metadata"]["name"], {"metadata": {"name": "other"}})
    assert not answer.accepted
    assert "the name of the object (other) does not match" in answer.message


@pytest.mark.parametrize(
    ("changes", "printed"),
    [
        ({"spec.training.batch_size": 4}, 'unknown field "spec.training.batch_size"'),
        (
            {"spec.federation.numRounds": 0, "spec.model.className": ABSENT},
            "spec.model.className: Required value",
        ),
        (
            {"spec.model.className": "class"},
            "spec.model.className: Invalid value: className is a keyword of Python; write the name",
        ),
    ],
    ids=["unknown", "missing", "rule"],
)
def test_kubectl_prints_it(
    kube: Kube, namespace: str, changes: dict[str, Any], printed: str
) -> None:
    """Row 1: what a person who uses kubectl alone sees, without any flag."""
    text = json.dumps(job(changes))
    with pytest.raises(KubectlError) as caught:
        kube("apply", "-n", namespace, "-f", "-", stdin=text)
    assert printed in str(caught.value)


STATUS: dict[str, Any] = {
    "state": "Training",
    "rounds": {"completed": 3, "total": 5, "display": "3/5"},
    "clients": {"expected": 5, "connected": 4, "display": "4/5"},
    "metric": "val_accuracy 0.934",
    "image": {"reference": "registry.example/digits@sha256:00"},
    "result": {"uri": "s3://bucket/model.safetensors", "sha256": "0" * 64, "size": 12},
}
SHORT = ["NAME", "STATE", "ROUND", "CLIENTS", "METRIC", "AGE"]
WIDE = [*SHORT, "IMAGE", "RESULT"]


@pytest.mark.parametrize("resource", ["fj", "federatedjob", "federatedjobs", "fedjob"])
def test_the_printed_columns(
    kube: Kube, jobs: JobsApi, kept: dict[str, Any], resource: str
) -> None:
    """By every name of the resource, and by its category."""
    patch = ("--subresource=status", "--type=merge", "-p", json.dumps({"status": STATUS}))
    # An operator in the cluster may write its own status over this one: then once more.
    for _ in range(10):
        kube("patch", "fj", "kept", "-n", jobs.namespace, *patch)
        short, wide = (
            kube("get", resource, "-n", jobs.namespace, *options).splitlines()
            for options in ((), ("-o", "wide"))
        )
        if "Training" in short[-1] and "Training" in wide[-1]:
            break
    row = ["kept", "Training", "3/5", "4/5", "val_accuracy", "0.934"]
    assert short[0].split() == SHORT
    assert short[1].split()[:-1] == row
    assert wide[0].split() == WIDE
    assert wide[1].split()[:6] == row
    assert wide[1].split()[7:] == [STATUS["image"]["reference"], STATUS["result"]["uri"]]


def test_a_status_is_checked_and_is_no_part_of_the_spec(
    kube: Kube, jobs: JobsApi, kept: dict[str, Any]
) -> None:
    """The status subresource: who sets the one cannot touch the other."""
    patch = json.dumps({"status": {"state": "Fine"}})
    with pytest.raises(KubectlError, match=r"status\.state: Unsupported value"):
        kube(
            *("patch", "fj", "kept", "-n", jobs.namespace, "--type=merge", "-p", patch),
            "--subresource=status",
        )
    answer = jobs.patch(
        "kept", {"status": {"state": "Complete"}, "metadata": {"labels": {"a": "b"}}}
    )
    assert answer.body["metadata"]["labels"] == {"a": "b"}
    assert answer.body.get("status", {}).get("state") != "Complete"
