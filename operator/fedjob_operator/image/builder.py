"""`ensure_image`: finds or builds the image of a job."""

from __future__ import annotations

import time

from fedjob_operator.image.append import append_image
from fedjob_operator.image.docker_builder import build_image
from fedjob_operator.image.errors import BaseImageMissingError, ImageRequestInvalidError
from fedjob_operator.image.reference import Reference
from fedjob_operator.image.registry_client import Repository
from fedjob_operator.image.request import ImageRequest, ImageResult
from fedjob_operator.stage_run import run_blocking

__all__ = ["ImageRequest", "ImageResult", "ensure_image", "ensure_image_now"]


async def ensure_image(request: ImageRequest) -> ImageResult:
    """Ensures that the job's image is in its registry.

    Idempotent, also after a failure at any point. Concurrent calls give the same image. The
    stage's run bounds its time and ends its threads.

    Args:
        request: Content and repository of the image.

    Returns:
        The image by digest, and whether it existed already.

    Raises:
        ImageError: A subclass, with `reason`, `fix` and `transient`.
    """
    return await run_blocking(ensure_image_now, request)


def ensure_image_now(request: ImageRequest) -> ImageResult:
    """`ensure_image` in the calling thread."""
    began = time.monotonic()
    base, target = request.base_reference(), request.target_reference()
    if request.builder == "append" and request.requirements:
        raise ImageRequestInvalidError(
            "spec.image.builder",
            "`append` cannot install spec.model.requirements",
            "write `docker`, or omit the field",
        )
    with (
        Repository(base, request.access(base)) as source,
        Repository(target, request.access(target)) as sink,
    ):
        if request.builder == "append":
            digest, cache_hit = append_image(source, sink, request.files, request.platform)
        else:
            digest, cache_hit = build_image(
                source,
                sink,
                request.files,
                request.requirements,
                platform=request.platform,
                built=request.built,
            )
    return ImageResult(
        reference=f"{target.name}@{digest}",
        digest=digest,
        cache_hit=cache_hit,
        seconds=time.monotonic() - began,
        supervisor=_pinned_supervisor(request),
    )


def _pinned_supervisor(request: ImageRequest) -> str:
    """The operator's runtime image by digest: a tag may name another image for each node."""
    if not request.supervisor:
        return ""
    reference = Reference.parse(request.supervisor, "FEDJOB_BASE_IMAGE")
    digest = reference.digest
    if not digest:
        with Repository(reference, request.access(reference)) as source:
            digest = source.manifest_digest(reference.version)
    if not digest:
        raise BaseImageMissingError(
            request.supervisor,
            "the registry does not have the operator's runtime image",
            "push it, or correct FEDJOB_BASE_IMAGE",
        )
    return f"{reference.name}@{digest}"
