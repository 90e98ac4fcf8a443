"""Errors of image builds and registries, each with a reason and a fix."""

from __future__ import annotations

from fedjob.errors import EXIT_INVALID, EXIT_UNAVAILABLE, FedjobError
from fedjob.reasons import Reason


class ImageError(FedjobError):
    """The job's image could not be found or built.

    Attributes:
        reason: Reason of the condition ImageReady.
        transient: Whether the same request may succeed later without a change.
        subject: The registry, repository, image or field concerned.
        problem: What is wrong.
        fix: What to do.
    """

    reason = Reason.IMAGE_BUILD_FAILED
    transient = False

    def __init__(self, subject: str, problem: str, fix: str) -> None:
        self.subject = subject
        self.problem = problem
        self.fix = fix
        super().__init__(f"{subject}: {problem}; {fix}")


class ImageBuildFailedError(ImageError):
    """The image cannot be built, or the registry cannot store it."""


class DaemonNotAllowedError(ImageBuildFailedError):
    """The Docker daemon is reached in a way that the operator does not use."""


class ImageRequestInvalidError(ImageError):
    """The request is invalid; nothing was sent."""

    reason = Reason.SPEC_INVALID
    exit_code = EXIT_INVALID


class BaseImageMissingError(ImageError):
    """The registry does not have the base image, or not for the nodes' platform."""

    reason = Reason.BASE_IMAGE_MISSING


class RegistryUnreachableError(ImageError):
    """The registry gave no usable response in all retries."""

    reason = Reason.REGISTRY_UNREACHABLE
    transient = True
    exit_code = EXIT_UNAVAILABLE


class RegistryNotAllowedError(ImageError):
    """A registry, or an address that a registry sends us to, is not one that the operator uses."""

    reason = Reason.REGISTRY_NOT_ALLOWED

    def __init__(self, subject: str, problem: str) -> None:
        fix = (
            "use the operator's own registry, or ask the operator's owner to list the host in "
            "builds.allowedRegistries"
        )
        super().__init__(subject, problem, fix)


class RegistryRefusedError(ImageError):
    """The registry or its token server refuses access.

    Attributes:
        registry: Host and port.
        secret: Origin of the credentials; empty without credentials.
    """

    reason = Reason.REGISTRY_REFUSED
    exit_code = EXIT_UNAVAILABLE

    def __init__(self, registry: str, problem: str, secret: str = "") -> None:
        self.registry = registry
        self.secret = secret
        fix = (
            f"correct the user name and password in {secret}, or give that user the right to pull "
            "the base and push to the repository"
            if secret
            else "name a Secret with its user name and password in spec.image.pullSecrets"
        )
        super().__init__(registry, problem, fix)
