"""The keys of a job's store."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from fedjob.reasons import Reason
from fedjob_operator.kube.client import Cluster
from fedjob_operator.naming import Body
from fedjob_operator.stages.errors import InputError
from fedjob_operator.stages.job_store import keys_of, open_store
from support.operator.samples import DEFAULTS, a_job


@pytest.mark.parametrize(
    ("secret", "message"),
    [
        (None, "does not exist; create it: kubectl -n team create secret"),
        ({"data": {"AWS_ACCESS_KEY_ID": "a2V5"}}, "has no AWS_SECRET_ACCESS_KEY"),
        ({}, "has no AWS_ACCESS_KEY_ID and no AWS_SECRET_ACCESS_KEY"),
    ],
)
def test_secret_without_keys_is_explained(secret: Body | None, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        keys_of(secret, "team", "mine")
    assert caught.value.reason == Reason.CREDENTIALS_REFUSED


def test_keys_are_stripped_of_line_ends() -> None:
    data = {"AWS_ACCESS_KEY_ID": "a2V5Cg==", "AWS_SECRET_ACCESS_KEY": "c2VjcmV0", "other": "eA=="}
    found = keys_of({"data": data}, "team", "mine")
    assert found == {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}


class Untouched:
    """A cluster that nobody may ask."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was called")


def test_a_job_that_reaches_into_another_namespace_opens_no_store() -> None:
    job = a_job(shards={"uri": "s3://jobs/jobs/victim/digits/shards/"})
    with pytest.raises(InputError, match="is outside what namespace team may read") as caught:
        asyncio.run(open_store(cast(Cluster, Untouched()), job, DEFAULTS, None))
    assert caught.value.reason == Reason.STORE_NOT_ALLOWED


def test_keys_of_a_job_are_not_sent_to_an_unknown_endpoint() -> None:
    storage = {"bucket": "b-1", "endpoint": "http://10.0.0.1", "secretRef": {"name": "keys"}}
    with pytest.raises(InputError, match=r"may not connect to http://10\.0\.0\.1") as caught:
        asyncio.run(open_store(cast(Cluster, Untouched()), a_job(storage=storage), DEFAULTS, None))
    assert caught.value.reason == Reason.STORE_NOT_ALLOWED
