"""`spec.federation`."""

from fedjob.spec import FederationConfig
from fedjob.spec.validation.parse import parse_job

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
        "strategy": None,
        "stop_when": None,
        "best_model": None,
        "job_name": "rt_job",
    }
    assert FederationConfig().model_dump() == expected
    assert parse_job(SMALLEST).spec.federation.model_dump() == expected
