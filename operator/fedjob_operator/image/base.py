"""The base image: found by name, pinned by digest."""

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
from fedjob_operator.image.registry import Repository


@dataclass(frozen=True, slots=True)
class BaseImage:
    """A base of one platform.

    Attributes:
        name: As it was asked for.
        pinned: `registry/repository@digest` of the platform's manifest.
        documents: Its config and manifest.
    """

    name: str
    pinned: str
    documents: ImageDocuments


def find_base(source: Repository, platform: Platform) -> BaseImage:
    """Reads the base's documents, those of `platform` where it has several.

    Raises:
        BaseImageMissingError: There is no such image, or none for the platform.
        ImageBuildFailedError: It is no image that we can read.
        RegistryRefusedError, RegistryUnreachableError: See `Connection.request`.
    """
    name = str(source.reference)
    document = source.manifest(source.reference.version)
    if document is not None and document.media_type in INDEXES:
        document = source.manifest(platform_digest(document, platform, name))
    if document is None:
        raise BaseImageMissingError(
            name,
            "the registry has no such image",
            "correct spec.image.base, or leave it out for the operator's own",
        )
    config = source.blob(config_digest(document, name))
    return BaseImage(
        name,
        f"{source.reference.name}@{document.digest}",
        ImageDocuments(config, document),
    )
