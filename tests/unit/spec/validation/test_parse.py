"""Every malformed job file gets its fields and a fix; boundaries are accepted."""

import pytest
import yaml

from fedjob.errors import EXIT_INVALID, InvalidInputError
from fedjob.spec.validation.parse import check_job, parse_job, parse_object
from support.spec.api_server_cases import API_MENDS
from support.spec.cases import ACCEPTED, REFUSED
from support.spec.sample_job import ITEM, job


def faults_of(text: str) -> list[tuple[str, str, str]]:
    with pytest.raises(InvalidInputError) as caught:
        parse_job(text, "job.yaml")
    assert caught.value.exit_code == EXIT_INVALID
    return [(fault.field, fault.problem, fault.fix) for fault in caught.value.faults]


@pytest.mark.parametrize("name", REFUSED)
def test_fault_of_a_malformed_job_names_the_field_and_the_fix(name):
    changes, field, problem, fix = REFUSED[name]
    if name in API_MENDS:
        with pytest.raises(InvalidInputError) as caught:
            parse_object(job(changes))
        found = [(fault.field, fault.problem, fault.fix) for fault in caught.value.faults]
    else:
        found = faults_of(yaml.safe_dump(job(changes)))
    assert [fault[0] for fault in found] == [field], found
    assert problem in found[0][1]
    assert fix in found[0][2]


@pytest.mark.parametrize("name", API_MENDS)
def test_numbers_that_json_mends_are_right_in_a_file(name):
    """kubectl sends 8.0 as 8."""
    parse_job(yaml.safe_dump(job(REFUSED[name][0])))


@pytest.mark.parametrize("changes", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_what_is_within_bounds_is_accepted(changes):
    parsed = parse_job(yaml.safe_dump(job(changes)))
    check_job(parsed)
    assert parse_object(job(changes)) == parsed


def test_all_faults_are_reported_at_once_in_the_order_of_the_file():
    """Row 26's habit, for the whole resource: nobody should need a second try."""
    found = faults_of("""
apiVersion: fedjob.dev/v1alpha1
kind: FederatedJob
metadata: {name: Digits, lables: {a: b}}
spec:
  numRounds: 3
  model: {source: {}, classname: Net, requirements: ["-r x", torch]}
  training: {batchSize: "32", learningRate: 0}
  federation: {minClients: 4}
  shards:
    items: [{name: a.zip, uri: "s3://bucket/a.zip"}, {name: b.zip, uri: "http://x"}]
  workers: {gpu: 0, gpuFallback: wait}
""")
    assert [field for field, _, _ in found] == [
        "metadata.name",
        "metadata.lables",
        "spec.numRounds",
        "spec.model.source",
        "spec.model.classname",
        "spec.model.requirements[0]",
        "spec.training.batchSize",
        "spec.training.learningRate",
        "spec.federation.minClients",
        "spec.shards.items[1].uri",
        "spec.workers.gpuFallback",
    ]


def test_apiversion_and_field_faults_come_together():
    found = faults_of("kind: FederatedJob\nmetadata: {name: a}\nspec: {modle: {}}\n")
    assert [field for field, _, _ in found] == ["apiVersion", "spec.model", "spec.modle"]


def test_a_faulty_value_is_not_tried_by_the_rules_too():
    changes = {"spec.shards.items": [ITEM], "spec.federation.minClients": 300}
    found = faults_of(yaml.safe_dump(job(changes)))
    assert [(field, problem) for field, problem, _ in found] == [
        ("spec.federation.minClients", "300 is above 256")
    ]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.model", 3),
        ("spec.shards", [1]),
        ("spec.shards.items", {"a": 1}),
        ("spec.workers.tolerations", ["a"]),
        ("spec.workers.resources", {"requests": {"cpu": [1]}, "limits": {"cpu": 1}}),
        ("spec.federation", "x"),
        ("spec.model.requirements", [1]),
        ("spec.image.pullSecrets", {}),
    ],
)
def test_wrong_types_where_rules_read_are_faults_of_those_fields_only(path, value):
    found = faults_of(yaml.safe_dump(job({path: value})))
    assert found
    assert all(field.startswith(path) for field, _, _ in found)


def test_check_job_finds_what_was_made_in_python():
    good = parse_job(yaml.safe_dump(job({})))
    workers = good.spec.workers.model_copy(update={"gpu": 0, "gpu_fallback": "wait"})
    image = good.spec.image.model_copy(update={"pull_secrets": ["a", "a"]})
    spec = good.spec.model_copy(update={"workers": workers, "image": image})
    with pytest.raises(InvalidInputError) as caught:
        check_job(good.model_copy(update={"spec": spec}))
    assert [fault.field for fault in caught.value.faults] == [
        "spec.workers.gpuFallback",
        "spec.image.pullSecrets[1]",
    ]
