"""`ensure_image`: finds or builds the image of a job."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

from fedjob_operator.image.append import append_image
from fedjob_operator.image.docker_builder import build_image
from fedjob_operator.image.errors import ImageRequestInvalidError
from fedjob_operator.image.registry_client import Repository
from fedjob_operator.image.request import ImageRequest, ImageResult

__all__ = ["ImageRequest", "ImageResult", "ensure_image", "ensure_image_now"]

_threads = ThreadPoolExecutor(8, thread_name_prefix="image")
"""A separate pool: builds take minutes and must not occupy asyncio's default threads."""


async def ensure_image(request: ImageRequest) -> ImageResult:
    """Ensures that the job's image is in its registry.

    Idempotent, also after a failure at any point. Concurrent calls give the same image. The thread
    of a cancelled call runs to its end.

    Args:
        request: Content and repository of the image.

    Returns:
        The image by digest, and whether it existed already.

    Raises:
        ImageError: A subclass, with `reason`, `fix` and `transient`.
    """
    return await asyncio.get_running_loop().run_in_executor(_threads, ensure_image_now, request)


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
                request.platform,
                request.built,
            )
    return ImageResult(
        reference=f"{target.name}@{digest}",
        digest=digest,
        cache_hit=cache_hit,
        seconds=time.monotonic() - began,
    )
