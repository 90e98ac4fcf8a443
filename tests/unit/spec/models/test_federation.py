"""`spec.federation`."""

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

