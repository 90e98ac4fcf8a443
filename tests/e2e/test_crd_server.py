"""Every constraint of the CRD on a real API server: accepted and refused jobs, with the messages.

The jobs are those of fedjob's own validation tests (tests/support/spec), and two for each bound
of the schema (tests/support/spec/schema_bounds.py). Nearly all requests are dry runs. Needs the
cluster (`make cluster`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from e2e.cluster_access.kube import Answer, JobsApi, Kube, KubectlError
from fedjob.errors import InvalidInputError
from fedjob.spec.validation.parse import parse_object
from support.repository import ROOT
from support.spec.api_server_cases import API_ACCEPTS, API_MENDS, API_MESSAGES, API_REFUSES
from support.spec.cases import ACCEPTED, REFUSED
from support.spec.sample_job import ABSENT, job
from support.spec.schema_bounds import Bound, Step, bounds_of, leaves_of, path_of, placed
from support.spec.schema_values import another

pytestmark = pytest.mark.e2e

CRD = ROOT / "crds" / "federatedjobs.fedjob.dev.yaml"
SCHEMA = yaml.safe_load(CRD.read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
BOUNDS = list(bounds_of(SCHEMA, job({})))
LEAVES = {path_of(steps): steps for steps in leaves_of(SCHEMA)}
SUSPENDED = job({"metadata.name": "kept", "spec.runPolicy.suspend": True})
IMMUTABLE = (
    *("spec.model", "spec.shards", "spec.training", "spec.components", "spec.storage"),
    *("spec.federation.jobName", "spec.federation.strategy"),
)
"""Fields that cannot change: another value would make it another job."""


@pytest.fixture(scope="module")
def namespace(kube: Kube) -> Iterator[str]:
    with kube.crd_lock():
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
    """The API server's answer to each job of REFUSED."""
    return {name: jobs.create(job(changes)) for name, (changes, *_) in REFUSED.items()}


@pytest.fixture(scope="module")
def kept(kube: Kube, jobs: JobsApi) -> Iterator[dict[str, Any]]:
    """An existing job, suspended so that no operator starts anything for it."""
    answer = jobs.create(SUSPENDED, dry_run=False)
    assert answer.accepted, answer.message
    yield answer.body
    kube("delete", "fj", "kept", "-n", jobs.namespace, "--wait=false")


def names(answer: Answer, field: str) -> bool:
    """Whether a refusal names the field, or its parent in the field path and it in the message."""
    if f'unknown field "{field}"' in answer.message:
        return True
    for cause in answer.body.get("details", {}).get("causes", []):
        below = field.removeprefix(f"{cause['field']}.")
        if cause["field"] == field or (below != field and below in cause["message"]):
            return True
    return False


@pytest.mark.parametrize("name", [name for name in ACCEPTED if name not in API_REFUSES])
def test_jobs_that_fedjob_accepts_are_stored_with_the_same_meaning(
    jobs: JobsApi, name: str
) -> None:
    """Rows 4 and 5: the API server's defaults equal those of the models."""
    answer = jobs.create(job(ACCEPTED[name]))
    assert answer.accepted, answer.message
    assert parse_object(answer.body).spec == parse_object(job(ACCEPTED[name])).spec


@pytest.mark.parametrize("name", [name for name in REFUSED if name not in API_ACCEPTS | API_MENDS])
def test_jobs_that_fedjob_refuses_are_refused_by_the_same_field(
    refusals: dict[str, Answer], name: str
) -> None:
    answer = refusals[name]
    assert not answer.accepted
    if name in API_MESSAGES:
        assert API_MESSAGES[name][0] in answer.message
    else:
        assert names(answer, REFUSED[name][1]), answer.message


@pytest.mark.parametrize("name", API_MESSAGES)
def test_each_message_exception_is_needed(refusals: dict[str, Answer], name: str) -> None:
    assert not names(refusals[name], REFUSED[name][1])


@pytest.mark.parametrize("name", API_ACCEPTS)
def test_operator_refuses_jobs_that_the_schema_cannot(
    refusals: dict[str, Answer], name: str
) -> None:
    assert refusals[name].accepted
    with pytest.raises(InvalidInputError) as caught:
        parse_object(refusals[name].body)
    assert [fault.field for fault in caught.value.faults] == [REFUSED[name][1]]


@pytest.mark.parametrize("name", API_MENDS)
def test_jobs_that_the_api_server_corrects_are_valid_when_read(
    refusals: dict[str, Answer], name: str
) -> None:
    assert refusals[name].accepted
    parse_object(refusals[name].body)


@pytest.mark.parametrize("name", API_REFUSES)
def test_jobs_that_only_the_api_server_refuses(jobs: JobsApi, name: str) -> None:
    answer = jobs.create(job(ACCEPTED[name]))
    assert not answer.accepted
    assert API_REFUSES[name][0] in answer.message


@pytest.mark.parametrize("bound", BOUNDS, ids=[bound.name for bound in BOUNDS])
def test_schema_bound_is_enforced(jobs: JobsApi, bound: Bound) -> None:
    answer = jobs.create(bound.job)
    assert answer.accepted == bound.accepted, answer.message
    assert bound.accepted or names(answer, bound.field), answer.message


def rules(*, of_changes: bool) -> list[tuple[str, dict[str, Any]]]:
    """(path, CEL rule) of the schema; with `of_changes`, the transition rules (`oldSelf`)."""

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
def test_each_cross_field_rule_is_violated_by_some_case(
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
def test_only_mutable_fields_of_an_existing_job_change(
    jobs: JobsApi, kept: dict[str, Any], path: str
) -> None:
    """Patches every field with another value; numRounds is raised."""
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
def test_unchanged_immutable_section_is_accepted(
    jobs: JobsApi, kept: dict[str, Any], section: str
) -> None:
    """As with `kubectl apply` of the same file, with or without explicit defaults."""
    for value in (kept["spec"][section], SUSPENDED["spec"].get(section)):
        answer = jobs.patch("kept", {"spec": {section: value}})
        assert answer.accepted, answer.message


def test_transition_rules_cover_exactly_the_expected_fields() -> None:
    found = [path + rule["fieldPath"] for path, rule in rules(of_changes=True)]
    assert sorted(found) == sorted([*IMMUTABLE, "spec.federation.numRounds"])


def test_num_rounds_can_be_raised_but_not_lowered(kube: Kube, jobs: JobsApi) -> None:
    """Without dry run: each change is compared with the last stored value."""

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


def test_name_cannot_change(jobs: JobsApi, kept: dict[str, Any]) -> None:
    answer = jobs.patch(kept["metadata"]["name"], {"metadata": {"name": "other"}})
    assert not answer.accepted
    assert "the name of the object (other) does not match" in answer.message


@pytest.mark.parametrize(
    ("changes", "printed"),
    [
        ({"spec.training.batch_size": 4}, 'unknown field "spec.training.batch_size"'),
        (
            {"spec.federation.numRounds": 0, "spec.model.source": ABSENT},
            "spec.model.source: Required value",
        ),
        (
            {"spec.model.className": "class"},
            "spec.model.className: Invalid value: className is a keyword of Python; write the name",
        ),
    ],
    ids=["unknown", "missing", "rule"],
)
def test_kubectl_prints_the_error(
    kube: Kube, namespace: str, changes: dict[str, Any], printed: str
) -> None:
    """Row 1: the message that kubectl prints without any flag."""
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
def test_kubectl_get_prints_the_columns(
    kube: Kube, jobs: JobsApi, kept: dict[str, Any], resource: str
) -> None:
    """By every name of the resource, and by its category."""
    patch = ("--subresource=status", "--type=merge", "-p", json.dumps({"status": STATUS}))
    # An operator in the cluster may overwrite this status: retry.
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


def test_status_is_validated_and_separate_from_the_spec(
    kube: Kube, jobs: JobsApi, kept: dict[str, Any]
) -> None:
    """The status subresource: a write of one does not change the other."""
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
