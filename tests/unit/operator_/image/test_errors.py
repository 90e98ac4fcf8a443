"""Errors of image builds and registries: reason, exit code, whether a retry helps, and the fix."""

from __future__ import annotations

import pytest

from fedjob.errors import EXIT_FAILED, EXIT_INVALID, EXIT_UNAVAILABLE
from fedjob.reasons import Reason
from fedjob_operator.image import errors


@pytest.mark.parametrize(
    ("kind", "reason", "transient", "exit_code"),
    [
        (errors.ImageBuildFailedError, Reason.IMAGE_BUILD_FAILED, False, EXIT_FAILED),
        (errors.ImageRequestInvalidError, Reason.SPEC_INVALID, False, EXIT_INVALID),
        (errors.BaseImageMissingError, Reason.BASE_IMAGE_MISSING, False, EXIT_FAILED),
        (errors.RegistryUnreachableError, Reason.REGISTRY_UNREACHABLE, True, EXIT_UNAVAILABLE),
    ],
)
def test_each_error_decides_reason_retry_and_exit_code(
    kind: type[errors.ImageError], reason: Reason, transient: bool, exit_code: int
) -> None:
    error = kind("registry:5000", "is odd", "mend it")
    assert (error.reason, error.transient, error.exit_code) == (reason, transient, exit_code)
    assert str(error) == "registry:5000: is odd; mend it"
    assert (error.subject, error.problem, error.fix) == ("registry:5000", "is odd", "mend it")


def test_refused_credentials_are_to_be_corrected_in_their_secret() -> None:
    error = errors.RegistryRefusedError("registry:5000", "answers 401", "Secret team/pull")
    assert error.reason is Reason.REGISTRY_REFUSED
    assert not error.transient
    assert error.fix.startswith("correct the user name and password in Secret team/pull")
    assert "spec.image.pullSecrets" not in error.fix


def test_without_credentials_a_secret_is_to_be_named() -> None:
    error = errors.RegistryRefusedError("registry:5000", "answers 401")
    assert error.fix.endswith("in spec.image.pullSecrets")
    assert (error.registry, error.secret, error.subject) == ("registry:5000", "", "registry:5000")
