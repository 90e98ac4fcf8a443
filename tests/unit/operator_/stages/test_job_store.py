"""The keys of a job's store."""

from __future__ import annotations

import pytest

from fedjob.reasons import Reason
from fedjob_operator.naming import Body
from fedjob_operator.stages.errors import InputError
from fedjob_operator.stages.job_store import keys_of


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
