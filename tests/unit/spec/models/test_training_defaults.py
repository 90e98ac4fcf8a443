"""Defaults of `spec.training`."""

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

