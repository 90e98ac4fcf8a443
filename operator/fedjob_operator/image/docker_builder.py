"""Builder `docker`: built and pushed by a Docker daemon, for jobs that need packages."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import docker
import docker.errors
import requests

from fedjob_operator.image.base import BaseImage, find_base
from fedjob_operator.image.build_context import LAYER_LABEL, make_context, render_dockerfile
from fedjob_operator.image.daemon_log import follow_build, follow_transfer, transfer_error
from fedjob_operator.image.errors import ImageBuildFailedError
from fedjob_operator.image.layer import make_layer
from fedjob_operator.image.manifests import MANIFESTS, Platform, config_digest, diff_ids, labels
from fedjob_operator.image.registry import Repository
from fedjob_operator.image.tag import image_tag
from fedjob_operator.image.turns import one_at_a_time

_QUIET_SECONDS = 1800
"""How long the daemon may say nothing: pip prints nothing while it compiles."""
_INDEX_SETTINGS = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST")


def build_image(
    source: Repository,
    target: Repository,
    files: Mapping[str, bytes],
    requirements: tuple[str, ...],
    platform: Platform,
) -> tuple[str, bool]:
    """Builds the image unless one of the same content is in the registry already.

    Works with the classic builder of Docker 20.10. Two at once in this process build once; two
    operators may build twice, and both images are good.

    Args:
        source: The base's repository, with its tag or digest.
        target: Where the image goes. The daemon must know the registry by the same name.
        files: The job folder.
        requirements: What pip installs.
        platform: Which of the base's manifests.

    Returns:
        The image's digest, and whether it was there.

    Raises:
        ImageError: One of its kinds; `ImageBuildFailedError` ends with the build's last lines.
    """
    layer = make_layer(files)
    base = find_base(source, platform)
    dockerfile = render_dockerfile(base.pinned, layer.digest, requirements)
    # The registry's name is not content: the same base elsewhere gives the same image.
    recipe = dockerfile.replace(base.pinned, "")
    tag = image_tag(base.documents.manifest.digest, layer.digest, requirements, recipe)
    image = f"{target.reference.name}:{tag}"
    with one_at_a_time(image):
        found = _find_built(target, tag, base, layer.digest)
        if found is not None:
            return found, True
        with _daemon() as client:
            _pull(client, source, base.pinned)
            context = io.BytesIO(make_context(dockerfile, files, requirements))
            follow_build(
                client.build(
                    fileobj=context,
                    custom_context=True,
                    tag=image,
                    buildargs=_index_settings(),
                    rm=True,
                    forcerm=True,
                    decode=True,
                ),
                image,
            )
            _push(client, target, tag)
            # The name goes, the layers stay: they are the next build's cache.
            client.remove_image(image, noprune=True)
        built = _find_built(target, tag, base, layer.digest)
    if built is None:
        raise ImageBuildFailedError(
            image,
            "the Docker daemon pushed it, but the registry does not show it",
            f"make {target.reference.registry} the same registry for daemon and operator",
        )
    return built, False


def _find_built(target: Repository, tag: str, base: BaseImage, layer_digest: str) -> str | None:
    """The digest behind the tag, if that is an image of this base and this job folder."""
    document = target.manifest(tag)
    if document is None or document.media_type not in MANIFESTS:
        return None
    name = f"{target.reference.name}:{tag}"
    config = target.blob(config_digest(document, name))
    below = diff_ids(base.documents.config, base.name)
    same_base = diff_ids(config, name)[: len(below)] == below
    same_files = labels(config, name).get(LAYER_LABEL) == layer_digest
    return document.digest if same_base and same_files else None


def _pull(client: docker.APIClient, source: Repository, pinned: str) -> None:
    try:
        client.inspect_image(pinned)
    except docker.errors.ImageNotFound:
        name, _, digest = pinned.partition("@")
        reference, secret = source.reference, source.access.secret
        try:
            events = client.pull(
                name, tag=digest, auth_config=_auth(source), stream=True, decode=True
            )
            follow_transfer(events, reference.registry, pinned, secret)
        except docker.errors.APIError as error:
            raise transfer_error(str(error), reference.registry, pinned, secret) from error


def _push(client: docker.APIClient, target: Repository, tag: str) -> None:
    reference = target.reference
    events = client.push(
        reference.name, tag=tag, auth_config=_auth(target), stream=True, decode=True
    )
    follow_transfer(events, reference.registry, f"{reference.name}:{tag}", target.access.secret)


def _auth(repository: Repository) -> dict[str, str]:
    """Our credentials, or none: never those that the daemon's client finds in a home folder."""
    credentials = repository.access.credentials
    if credentials is None:
        return {}
    return {
        "username": credentials.username,
        "password": credentials.password,
        "serveraddress": repository.reference.registry,
    }


def _index_settings() -> dict[str, str]:
    """The operator's package index, for pip in the build; build arguments end up in the image."""
    given = {name: os.environ[name] for name in _INDEX_SETTINGS if os.environ.get(name)}
    for name, value in given.items():
        if any(urlsplit(url).password for url in value.split()):
            raise ImageBuildFailedError(
                f"environment variable {name}",
                "it holds a password, and whoever pulls the image could read it there",
                "use an index that the daemon reaches without one",
            )
    return given


@contextmanager
def _daemon() -> Iterator[Any]:
    try:
        client = docker.APIClient(
            **docker.utils.kwargs_from_env(), version="auto", timeout=_QUIET_SECONDS
        )
    except docker.errors.DockerException as error:
        raise ImageBuildFailedError(
            "Docker daemon",
            f"none answers ({error})",
            "give the operator one with DOCKER_HOST, or leave spec.model.requirements empty and "
            "use image.builder: append with a base that has the packages",
        ) from error
    try:
        yield client
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        raise ImageBuildFailedError(
            "Docker daemon", f"it fails: {error}", "look at the daemon's log"
        ) from error
    finally:
        client.close()
