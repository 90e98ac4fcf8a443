"""Finds the base image by name and pins it by digest."""

from __future__ import annotations

from dataclasses import dataclass

from fedjob_operator.image.errors import BaseImageMissingError
from fedjob_operator.image.manifests import (
    INDEXES,
    ImageDocuments,
    Platform,
    config_digest,
    platform_digest,
)
from fedjob_operator.image.registry_client import Repository


@dataclass(frozen=True, slots=True)
class BaseImage:
    """A base image for one platform.

    Attributes:
        name: The reference as written in the request.
        pinned: `registry/repository@digest` of the platform's manifest.
        documents: The image's config and manifest.
    """

    name: str
    pinned: str
    documents: ImageDocuments


def find_base(source: Repository, platform: Platform) -> BaseImage:
    """Reads config and manifest of the base, for `platform` if it has several.

    Raises:
        BaseImageMissingError: The image does not exist, or not for the platform.
        ImageBuildFailedError: It is not a readable image.
        RegistryRefusedError, RegistryUnreachableError: See `Connection.request`.
    """
    name = str(source.reference)
    document = source.manifest(source.reference.version)
    if document is not None and document.media_type in INDEXES:
        document = source.manifest(platform_digest(document, platform, name))
    if document is None:
        raise BaseImageMissingError(
            name,
            "the registry does not have this image",
            "correct spec.image.base, or omit it to use the operator's default",
        )
    config = source.blob(config_digest(document, name))
    return BaseImage(
        name=name,
        pinned=f"{source.reference.name}@{document.digest}",
        documents=ImageDocuments(config=config, manifest=document),
    )
