"""Which store a job uses."""

from __future__ import annotations

import pytest

from fedjob.errors import InvalidInputError
from fedjob_operator.planning.store_location import check_store, location_of
from support.operator.samples import (
    DEFAULTS,
    a_job,
)


def test_store_of_the_job_comes_before_the_operators() -> None:
    own = a_job(
        storage={
            "bucket": "mine",
            "prefix": "p",
            "endpoint": "https://s3.example.com",
            "region": "eu-1",
            "secretRef": {"name": "k"},
        }
    )
    found = location_of(own, DEFAULTS)
    assert (found.bucket, found.prefix, found.region) == ("mine", "p", "eu-1")
    assert location_of(a_job(), DEFAULTS).endpoint == DEFAULTS.endpoint
    with pytest.raises(InvalidInputError) as caught:
        check_store(a_job(), type(DEFAULTS)())
    fields = [fault.field for fault in caught.value.faults]
    assert fields == ["spec.storage.bucket", "spec.storage.secretRef"]


def test_complete_store_passes_the_check() -> None:
    assert check_store(a_job(), DEFAULTS) == location_of(a_job(), DEFAULTS)
    own = a_job(storage={"bucket": "mine", "secretRef": {"name": "k"}})
    assert check_store(own, type(DEFAULTS)()).bucket == "mine"
