"""What the models give without being told, and what they keep from a live object."""

import pytest
from pydantic import ValidationError

from fedjob.protocol.commit import Commit, Participant
from fedjob.spec import FederatedJob, FederationConfig, ShardsSpec, TrainingConfig
from fedjob.spec.validation.parse import parse_job, parse_object

SMALLEST = """
apiVersion: fedjob.dev/v1alpha1
kind: FederatedJob
metadata: {name: digits}
spec: {model: {source: {uri: "s3://bucket/model_def.py"}, className: Net}}
"""


def test_training_defaults_are_the_documented_ones():
    """Row 4."""
    expected = {
        "num_classes": 0,
        "local_epochs": 2,
        "batch_size": 32,
        "learning_rate": 0.001,
        "img_size": 224,
        "manifest_file": "manifest.ndjson",
        "extra": {},
    }
    assert TrainingConfig().model_dump() == expected
    assert parse_job(SMALLEST).spec.training.model_dump() == expected


def test_federation_defaults_are_the_documented_ones():
    """Row 5."""
    expected = {
        "num_rounds": 5,
        "min_clients": 1,
        "wait_time_after_min_received": 10,
        "heart_beat_timeout": 600,
        "round_timeout": None,
        "partial": False,
        "job_name": "rt_job",
    }
    assert FederationConfig().model_dump() == expected
    assert parse_job(SMALLEST).spec.federation.model_dump() == expected


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


def test_workers_get_shards_by_file_name_sort_without_the_validation_shard():
    """Row 37."""
    shards = ShardsSpec(validation="b.zip")
    assert shards.for_workers(["c.zip", "b.zip", "a10.zip", "a9.zip"]) == [
        "a10.zip",
        "a9.zip",
        "c.zip",
    ]


def test_the_samples_of_a_round_are_those_of_its_participants():
    commit = Commit(
        round=1,
        attempt=1,
        sha256="0" * 64,
        size=1,
        participants=[Participant(name="worker-0", samples=3), Participant(name="b", samples=4)],
        started="2026-01-02T03:04:05Z",
        ended="2026-01-02T03:04:06Z",
    )
    assert commit.samples == 7
