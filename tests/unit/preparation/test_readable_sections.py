"""What can be read of a faulty resource."""

import json

import pytest

from fedjob.preparation.readable_sections import readable_sections

MODEL = {"source": {"inline": "x = 1"}, "className": "Net"}


def read(**spec):
    return readable_sections(json.dumps({"kind": "FederatedJob", "spec": spec}), "job.yaml")


def test_good_sections_are_kept_and_faulty_ones_get_defaults():
    job = read(model=MODEL, training={"batchSize": 8}, shards={"uri": "odd"}, federation=7)
    assert job.spec.model.class_name == "Net"
    assert job.spec.training.batch_size == 8
    assert job.spec.shards.uri is None
    assert job.spec.federation.num_rounds == 5


def test_a_faulty_model_keeps_its_source_and_class():
    job = read(model={**MODEL, "requirements": 7, "unknown": 1})
    assert job.spec.model.source.inline == "x = 1"
    assert job.spec.model.class_name == "Net"


@pytest.mark.parametrize("model", [None, "text", {}, {"className": "Net"}])
def test_there_is_no_job_without_a_source(model):
    assert read(model=model) is None


@pytest.mark.parametrize("text", ["a: [", "[1]", "7", "", "spec: 7", "spec: []"])
def test_there_is_no_job_in_other_text(text):
    assert readable_sections(text, "job.yaml") is None
