"""Defaults of `spec.training`."""

from fedjob.spec import TrainingConfig
from fedjob.spec.validation.parse import parse_job

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
