"""`spec.image`: the job's container image."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fedjob.spec.models.base import Model
from fedjob.spec.models.fields import IMAGE, ObjectName
from fedjob.spec.models.lists import list_set


class ImageSpec(Model):
    """The base image, the repository of the job's image, and its builder."""

    base: str | None = Field(
        None,
        max_length=512,
        pattern=IMAGE,
        description="Runtime image to start from; absent: the operator's.",
    )
    repository: str | None = Field(
        None,
        max_length=512,
        pattern=IMAGE,
        description="Where the job's image is pushed, without a tag; absent: the operator's.",
    )
    pull_secrets: list[ObjectName] = Field(
        default_factory=list,
        max_length=16,
        description="Secrets of type kubernetes.io/dockerconfigjson, in the job's namespace.",
        json_schema_extra=list_set(),
    )
    builder: Literal["append", "docker"] | None = Field(
        None,
        description="`append` pushes one layer, without a daemon; `docker` builds, and can install "
        "packages; absent: `docker` where model.requirements is given, else `append`.",
    )
