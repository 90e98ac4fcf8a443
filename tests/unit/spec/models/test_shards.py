"""`spec.shards`: which shard each worker gets."""

import pytest

from pydantic import ValidationError

from fedjob.protocol.commit import Commit, Participant

from fedjob.spec import FederatedJob, FederationConfig, ShardsSpec, TrainingConfig

from fedjob.spec.validation.parse import parse_job, parse_object

def test_workers_get_shards_by_file_name_sort_without_the_validation_shard():
    """Row 37."""
    shards = ShardsSpec(validation="b.zip")
    assert shards.for_workers(["c.zip", "b.zip", "a10.zip", "a9.zip"]) == [
        "a10.zip",
        "a9.zip",
        "c.zip",
    ]

