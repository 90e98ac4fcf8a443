"""`spec.training`: names in `extra` that set a field, contradict one, or are fedjob's own."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from fedjob.errors import InvalidInputError
from fedjob.spec import TrainingConfig
from fedjob.spec.env_names import FIELDS, LATER, OWN
from fedjob.spec.validation.parse import parse_job, parse_object
from support.spec.sample_job import job

VALUES = {
    "local_epochs": 7,
    "batch_size": 8,
    "learning_rate": 0.5,
    "num_classes": 9,
    "img_size": 64,
    "manifest_file": "index.ndjson",
}


@pytest.mark.parametrize("name", FIELDS)
def test_a_name_in_extra_sets_its_field(name):
    """The training function finds it under both names."""
    field = FIELDS[name]
    config = TrainingConfig.model_validate({"extra": {name: VALUES[field], "own": 1}})
    assert getattr(config, field) == VALUES[field]
    assert config.extra == {name: VALUES[field], "own": 1}


def test_a_field_with_its_default_counts_as_not_given():
    """The API server writes defaults into the object: the operator cannot see who wrote them."""
    stored = {"imgSize": 224, "batchSize": 32, "extra": {"IMG_SIZE": 64, "batch_size": 8}}
    config = TrainingConfig.model_validate(stored)
    assert (config.img_size, config.batch_size) == (64, 8)


def test_what_was_set_once_is_read_the_same_again():
    config = TrainingConfig.model_validate({"extra": {"LR": 0.5, "num_classes": 9}})
    assert TrainingConfig.model_validate(config.model_dump()) == config
    assert TrainingConfig.model_validate(config.model_dump(by_alias=True)) == config
    assert TrainingConfig.model_validate(config) is config


def test_the_same_value_twice_is_no_contradiction():
    config = TrainingConfig(local_epochs=7, extra={"EPOCHS": 7, "LOCAL_EPOCHS": 7})
    assert config.local_epochs == 7


def test_every_faulty_name_is_reported_at_once():
    changes = {
        "spec.training.batchSize": 64,
        "spec.training.extra": {
            "LR": 0.1,
            "learning_rate": 0.2,
            "batch_size": 16,
            "DEVICE": "cpu",
            "EPOCHS": 3,
            "SITE_NAME": "a",
        },
    }
    with pytest.raises(InvalidInputError) as caught:
        parse_object(job(changes))
    assert [(fault.field, fault.problem, fault.fix) for fault in caught.value.faults] == [
        (
            "spec.training.extra.learning_rate",
            "is 0.2, but training.learningRate is 0.1",
            "keep one of the two",
        ),
        (
            "spec.training.extra.batch_size",
            "is 16, but training.batchSize is 64",
            "keep one of the two",
        ),
        ("spec.training.extra.DEVICE", "is set by fedjob itself", "rename it"),
        ("spec.training.extra.SITE_NAME", "is set by fedjob itself", "rename it"),
    ]


@pytest.mark.parametrize("name", sorted(OWN))
def test_names_that_fedjob_sets_are_refused(name):
    with pytest.raises(ValidationError, match=f"`{name}` is set by fedjob itself"):
        TrainingConfig(extra={name: 1})


@pytest.mark.parametrize("name", sorted(LATER))
def test_names_that_came_later_stay_readable_in_stored_jobs(name):
    """The API server has jobs whose authors chose these names before fedjob set them."""
    assert parse_object(job({f"spec.training.extra.{name}": 9})).spec.training.extra == {name: 9}


def test_a_faulty_field_is_reported_once():
    """`extra` is not compared with a field that is refused itself."""
    with pytest.raises(InvalidInputError) as caught:
        parse_object(job({"spec.training.imgSize": "big", "spec.training.extra.IMG_SIZE": 64}))
    assert [fault.field for fault in caught.value.faults] == ["spec.training.imgSize"]


@pytest.mark.parametrize("given", [None, [], "text"])
def test_an_extra_that_is_not_a_mapping_is_refused_as_such(given):
    with pytest.raises(ValidationError):
        TrainingConfig.model_validate({"extra": given})


def test_a_file_says_the_same_as_the_object():
    text = (
        "apiVersion: fedjob.dev/v1alpha1\nkind: FederatedJob\nmetadata: {name: a}\n"
        "spec:\n  model: {className: Net, source: {uri: s3://bucket/m.py}}\n"
        "  training: {extra: {IMG_SIZE: 64}}\n"
    )
    parsed = parse_job(text)
    assert parsed.spec.training.img_size == 64
    assert parse_job(parsed.to_yaml()) == parsed
