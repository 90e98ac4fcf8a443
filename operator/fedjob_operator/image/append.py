"""Builder `append`: adds one layer to the base through the registry's API, without a daemon."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from fedjob.backoff import Backoff
from fedjob_operator.image.base_image import find_base
from fedjob_operator.image.build_lock import build_lock
from fedjob_operator.image.errors import ImageBuildFailedError, RegistryUnreachableError
from fedjob_operator.image.layer import make_layer
from fedjob_operator.image.manifests import Document, Platform, append_to, layer_descriptors
from fedjob_operator.image.registry_client import Repository
from fedjob_operator.image.tag import image_tag
from fedjob_operator.stage_run import in_same_run

_PARALLEL = 4
"""Layers mounted in parallel: a mount is one round trip, and a base has ten or more layers."""
_PUBLISH_RETRIES = 2
_BACKOFF = Backoff(first=0.25, longest=1.0, jitter=0.5)


def append_image(
    source: Repository, target: Repository, files: Mapping[str, bytes], platform: Platform
) -> tuple[str, bool]:
    """Adds the job folder to the base as a layer, unless the registry already has that image.

    The image's digest is known before anything is sent, so a tag with this digest is a cache hit.
    An interrupted push is continued: existing blobs are not sent again, and the manifest is sent
    last, which makes the image exist. Concurrent pushes send identical bytes to identical names.

    Args:
        source: The base image's repository, with its tag or digest.
        target: The job image's repository.
        files: The job folder.
        platform: Selects one manifest of a multi-platform base.

    Returns:
        The image's digest, and whether it existed already.

    Raises:
        ImageError: A subclass; see `find_base`, `make_layer` and `Connection.request`.
    """
    layer = make_layer(files)
    base = find_base(source, platform)
    image = append_to(base.documents, layer, base.name)
    digest = image.manifest.digest
    tag = image_tag(base.documents.manifest.digest, layer.digest)
    with build_lock(f"{target.reference.name}:{tag}"):
        if target.manifest_digest(tag) == digest:
            return digest, True
        below = layer_descriptors(base.documents.manifest, base.name)
        names = dict.fromkeys(str(each["digest"]) for each in below)
        with ThreadPoolExecutor(_PARALLEL) as pool:
            take = in_same_run(lambda name: target.take_layer(name, source))
            for _ in pool.map(take, names):
                pass
        target.push_blob(layer.data)
        target.push_blob(image.config)
        _publish(target, tag, image.manifest)
    return digest, False


def _publish(target: Repository, tag: str, manifest: Document) -> None:
    """Sends the manifest.

    A registry that stores files may answer 400 DIGEST_INVALID or 500 while another operator writes
    the same manifest, so after an error this waits and checks whether the tag now exists.
    """
    for failures in range(1, _PUBLISH_RETRIES + 1):
        try:
            target.push_manifest(tag, manifest)
        except (ImageBuildFailedError, RegistryUnreachableError):
            time.sleep(_BACKOFF.delay(failures, random.random()))  # noqa: S311
            if target.manifest_digest(tag) == manifest.digest:
                return
        else:
            return
    target.push_manifest(tag, manifest)
