"""Every error of a stage has a reason."""

from __future__ import annotations

import pytest

from fedjob.errors import Fault, FedjobError, InvalidInputError
from fedjob.reasons import Reason
from fedjob.storage import errors as store_errors
from fedjob_operator.kube.client import ApiError
from fedjob_operator.stages.errors import InputError, StageError

WHERE = store_errors.Where("b", "e", "k")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (store_errors.StoreUnreachableError(WHERE, "p", "f"), "StoreUnreachable"),
        (store_errors.BucketMissingError(WHERE, "p", "f"), "BucketMissing"),
        (store_errors.CredentialsRefusedError(WHERE, "p", "f"), "CredentialsRefused"),
        (store_errors.ObjectChangedError(WHERE, "p", "f"), "StoreUnreachable"),
        (
            InputError(Reason.SHARDS_MISSING, InvalidInputError([Fault("a", "b", "c")])),
            "ShardsMissing",
        ),
        (InvalidInputError([Fault("a", "b", "c")]), "SpecInvalid"),
        (StageError(Reason.NO_SPACE, "x"), "NoSpace"),
        (ApiError("GET /x", 403, "Forbidden", "no"), "AdmissionRefused"),
        (FedjobError("?"), "InternalError"),
    ],
)
def test_every_error_has_a_reason(error: FedjobError, reason: str) -> None:
    assert error.reason is Reason(reason)  # type: ignore[call-arg]
