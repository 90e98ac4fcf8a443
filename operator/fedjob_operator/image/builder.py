"""`ensure_image`: the one thing that the reconcile calls."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

from fedjob_operator.image.append import append_image
from fedjob_operator.image.docker_builder import build_image
from fedjob_operator.image.errors import ImageRequestInvalidError
from fedjob_operator.image.registry import Repository
from fedjob_operator.image.request import ImageRequest, ImageResult

__all__ = ["ImageRequest", "ImageResult", "ensure_image", "ensure_image_now"]

_threads = ThreadPoolExecutor(8, thread_name_prefix="image")
"""Of its own: builds of minutes must not take the threads of asyncio's default pool."""


async def ensure_image(request: ImageRequest) -> ImageResult:
    """Makes sure that the job's image is in its registry.

    Safe to repeat, after a failure at any point too: what is there is found, not made again. Two
    calls at once give the same image. A cancelled call leaves its thread to finish.

    Args:
        request: What the image is made of, and where it goes.

    Returns:
        The image by digest, and whether it was there.

    Raises:
        ImageError: One of its kinds, each with `reason`, `fix` and `transient`.
    """
    return await asyncio.get_running_loop().run_in_executor(_threads, ensure_image_now, request)


def ensure_image_now(request: ImageRequest) -> ImageResult:
    """The same, in this thread."""
    began = time.monotonic()
    base, target = request.base_reference(), request.target_reference()
    if request.builder == "append" and request.requirements:
        raise ImageRequestInvalidError(
            "spec.image.builder",
            "`append` cannot install spec.model.requirements",
            "write `docker`, or leave it out",
        )
    with (
        Repository(base, request.access(base)) as source,
        Repository(target, request.access(target)) as sink,
    ):
        if request.builder == "append":
            digest, cache_hit = append_image(source, sink, request.files, request.platform)
        else:
            digest, cache_hit = build_image(
                source, sink, request.files, request.requirements, request.platform
            )
    return ImageResult(f"{target.name}@{digest}", digest, cache_hit, time.monotonic() - began)
