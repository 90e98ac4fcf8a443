"""The CRD: checked in, bounded, and in step with the models."""

from pathlib import Path

import pytest

from fedjob.spec.schema.crd import crd_yaml
from fedjob.spec.yaml import load_yaml
from support.spec.crd_schema import CRD, SCHEMA, SPEC, STATUS, VERSION

ROOT = Path(__file__).parents[4]


def test_the_checked_in_crd_is_up_to_date():
    path = ROOT / "crds/federatedjobs.fedjob.dev.yaml"
    assert path.read_text() == crd_yaml(), f"run python -m fedjob.spec.schema.crd > {path}"


def test_the_crd_is_read_back_as_it_was_made():
    assert load_yaml(crd_yaml(), "crd").data == CRD


def test_names():
    assert CRD["metadata"]["name"] == "federatedjobs.fedjob.dev"
    assert CRD["spec"]["group"] == "fedjob.dev"
    assert CRD["spec"]["names"]["shortNames"] == ["fj"]
    assert CRD["spec"]["names"]["categories"] == ["fedjob"]
    assert VERSION["name"] == "v1alpha1"
    assert VERSION["subresources"] == {"status": {}}


def test_printer_columns():
    columns = [(c["name"], c.get("priority", 0)) for c in VERSION["additionalPrinterColumns"]]
    assert columns == [
        ("State", 0),
        ("Round", 0),
        ("Clients", 0),
        ("Metric", 0),
        ("Age", 0),
        ("Image", 1),
        ("Result", 1),
    ]


def test_printer_columns_read_text_that_the_status_has():
    for column in VERSION["additionalPrinterColumns"]:
        if column["jsonPath"].startswith(".status."):
            assert STATUS[column["jsonPath"].removeprefix(".")]["type"] == column["type"]


@pytest.mark.parametrize("nodes_of", [SPEC, STATUS], ids=["spec", "status"])
def test_every_text_list_and_map_is_bounded(nodes_of):
    """Without a bound the API server refuses a CEL rule for its cost, and etcd takes anything."""
    unbounded = []
    for path, node in nodes_of.items():
        if node.get("type") == "string" and "enum" not in node and "maxLength" not in node:
            unbounded.append(path)
        if node.get("x-kubernetes-int-or-string") and "maxLength" not in node:
            unbounded.append(path)
        if node.get("type") == "array" and "maxItems" not in node:
            unbounded.append(path)
        if (
            node.get("type") == "object"
            and "properties" not in node
            and "maxProperties" not in node
        ):
            unbounded.append(path)
    assert unbounded == []


def test_every_number_of_the_spec_is_bounded():
    for path, node in SPEC.items():
        if node.get("type") in ("integer", "number"):
            assert {"minimum", "maximum"} <= node.keys(), path


def test_every_field_of_the_spec_is_described():
    for path, node in SPEC.items():
        if not path.endswith(("[]", ".*")):
            assert node.get("description"), path


@pytest.mark.parametrize(
    ("path", "default"),
    [
        ("spec.training.numClasses", 0),
        ("spec.training.localEpochs", 2),
        ("spec.training.batchSize", 32),
        ("spec.training.learningRate", 0.001),
        ("spec.training.imgSize", 224),
        ("spec.training.manifestFile", "manifest.ndjson"),
        ("spec.federation.numRounds", 5),
        ("spec.federation.minClients", 1),
        ("spec.federation.waitTimeAfterMinReceived", 10),
        ("spec.federation.heartBeatTimeout", 600),
        ("spec.federation.jobName", "rt_job"),
    ],
)
def test_defaults_are_the_documented_ones(path, default):
    """Rows 4 and 5: also for who uses kubectl alone."""
    assert SPEC[path]["default"] == default


def test_a_section_that_may_be_left_out_gets_its_defaults():
    spec = SCHEMA["properties"]["spec"]
    assert spec["required"] == ["model"]
    for name, section in spec["properties"].items():
        assert name == "model" or section["default"] == {}


def test_no_default_stands_in_the_status():
    assert [path for path, node in STATUS.items() if "default" in node] == []


def test_conditions_are_identified_by_type():
    assert STATUS["status.conditions"]["x-kubernetes-list-map-keys"] == ["type"]
    assert STATUS["status.history"]["maxItems"] == 20
