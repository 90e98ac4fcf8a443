"""Builder `append`: one layer on the base, pushed over the registry's API, without a daemon."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from fedjob_operator.image.base import find_base
from fedjob_operator.image.errors import ImageBuildFailedError, RegistryUnreachableError
from fedjob_operator.image.layer import make_layer
from fedjob_operator.image.manifests import Document, Platform, append_to, layer_descriptors
from fedjob_operator.image.registry import Repository
from fedjob_operator.image.tag import image_tag
from fedjob_operator.image.turns import one_at_a_time

_AT_ONCE = 4
"""Layers taken over at once: a mount is one round trip, and a base has ten or more layers."""
_PAUSES = (0.2, 0.6)
"""Seconds before the manifest is sent again."""


def append_image(
    source: Repository, target: Repository, files: Mapping[str, bytes], platform: Platform
) -> tuple[str, bool]:
    """Puts the job folder on the base, unless that image is in the registry already.

    The digest is known before anything is sent, so a tag that stands for it ends the matter. What
    an interrupted push left is used: blobs that are there are not sent again, and only the
    manifest, sent last, makes the image. Two at once send the same bytes under the same names.

    Args:
        source: The base's repository, with its tag or digest.
        target: Where the image goes.
        files: The job folder.
        platform: Which of the base's manifests.

    Returns:
        The image's digest, and whether it was there.

    Raises:
        ImageError: One of its kinds; see `find_base`, `make_layer` and `Connection.request`.
    """
    layer = make_layer(files)
    base = find_base(source, platform)
    image = append_to(base.documents, layer, base.name)
    digest = image.manifest.digest
    tag = image_tag(base.documents.manifest.digest, layer.digest)
    with one_at_a_time(f"{target.reference.name}:{tag}"):
        if target.manifest_digest(tag) == digest:
            return digest, True
        below = layer_descriptors(base.documents.manifest, base.name)
        names = dict.fromkeys(str(each["digest"]) for each in below)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for _ in pool.map(lambda name: target.take_layer(name, source), names):
                pass
        target.push_blob(layer.data)
        target.push_blob(image.config)
        _publish(target, tag, image.manifest)
    return digest, False


def _publish(target: Repository, tag: str, manifest: Document) -> None:
    """Sends the manifest.

    A registry that stores in files may answer 400 DIGEST_INVALID or 500 while another operator
    writes the very same manifest, so a refusal is asked about once the other must be done.
    """
    for pause in _PAUSES:
        try:
            target.push_manifest(tag, manifest)
        except (ImageBuildFailedError, RegistryUnreachableError):
            time.sleep(pause)
            if target.manifest_digest(tag) == manifest.digest:
                return
        else:
            return
    target.push_manifest(tag, manifest)
