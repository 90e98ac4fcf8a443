"""The resource: what a live object keeps, and the names of its fields."""

import pytest
from pydantic import ValidationError

from fedjob.spec import FederatedJob, TrainingConfig
from fedjob.spec.validation.parse import parse_object


def test_a_live_object_is_read_with_what_identifies_it():
    job = parse_object(
        {
            "apiVersion": "fedjob.dev/v1alpha1",
            "kind": "FederatedJob",
            "metadata": {
                "name": "digits",
                "namespace": "team-a",
                "uid": "6f0e",
                "generation": 3,
                "resourceVersion": "81",
                "creationTimestamp": "2026-01-02T03:04:05Z",
                "deletionTimestamp": "2026-01-03T03:04:05Z",
                "managedFields": [{"manager": "kubectl"}],
                "ownerReferences": [],
                "finalizers": ["x/y"],
                "labels": None,
                "annotations": {"a": "b"},
            },
            "spec": {"model": {"source": {"inline": "x"}, "className": "Net"}, "image": None},
            "status": {"state": "NotAState"},
        }
    )
    assert job.metadata.uid == "6f0e"
    assert job.metadata.generation == 3
    assert job.metadata.resource_version == "81"
    assert job.metadata.creation_timestamp == "2026-01-02T03:04:05Z"
    assert job.metadata.deletion_timestamp == "2026-01-03T03:04:05Z"
    assert job.metadata.labels == {}
    assert job.metadata.annotations == {"a": "b"}
    assert job.spec.image.base is None
    assert job.status is None


def test_null_metadata_maps_are_empty_for_the_model_too():
    job = FederatedJob.model_validate(
        {
            "metadata": {"name": "a", "labels": None},
            "spec": {"model": {"source": {"inline": "x"}, "className": "Net"}},
        }
    )
    assert job.metadata.labels == {}


def test_models_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        TrainingConfig().batch_size = 3


def test_names_work_in_snake_case_from_python_and_in_camel_case_outside():
    config = TrainingConfig(batch_size=7)
    assert config.model_dump(by_alias=True)["batchSize"] == 7
    assert TrainingConfig.model_validate({"batchSize": 7}) == config
