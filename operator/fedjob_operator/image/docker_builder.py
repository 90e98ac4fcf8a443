"""Builder `docker`: a Docker daemon builds and pushes the image, for jobs that need packages."""

from __future__ import annotations

import io
import os
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import docker
import docker.errors
import requests

from fedjob_operator.image.base_image import BaseImage, find_base
from fedjob_operator.image.build_context import LAYER_LABEL, make_context, render_dockerfile
from fedjob_operator.image.build_lock import build_lock
from fedjob_operator.image.errors import (
    ImageBuildFailedError,
    ImageError,
    RegistryRefusedError,
    RegistryUnreachableError,
)
from fedjob_operator.image.layer import make_layer
from fedjob_operator.image.manifests import MANIFESTS, Platform, config_digest, diff_ids, labels
from fedjob_operator.image.registry_client import Repository
from fedjob_operator.image.tag import image_tag

_QUIET_SECONDS = 1800
"""Read timeout for the daemon's output, in seconds: pip prints nothing while it compiles."""
_INDEX_SETTINGS = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST")
_LAST_LINES = 20
_LINE_LENGTH = 300
_NOISE = (" --->", "Removing intermediate container")
_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_REFUSED = ("unauthorized", "denied", "authentication required", "no basic auth credentials")
_UNREACHABLE = (
    "connection refused",
    "no such host",
    "i/o timeout",
    "timeout exceeded",
    "deadline exceeded",
    "x509:",
    "server gave http response",
    "no route to host",
    "service unavailable",
)


def build_image(
    source: Repository,
    target: Repository,
    files: Mapping[str, bytes],
    requirements: tuple[str, ...],
    platform: Platform,
) -> tuple[str, bool]:
    """Builds the image, unless the registry already has one with the same content.

    Works with the classic builder of Docker 20.10. Concurrent calls in this process build once;
    two operators may build twice, and both images are correct.

    Args:
        source: The base image's repository, with its tag or digest.
        target: The job image's repository. The daemon must know its registry by the same name.
        files: The job folder.
        requirements: The packages to install, as PEP 508 requirements.
        platform: Selects one manifest of a multi-platform base.

    Returns:
        The image's digest, and whether it existed already.

    Raises:
        ImageError: A subclass; `ImageBuildFailedError` ends with the build's last lines.
    """
    layer = make_layer(files)
    base = find_base(source, platform)
    dockerfile = render_dockerfile(base.pinned, layer.digest, requirements)
    # Without the base's name: the same base in another registry gives the same image.
    recipe = dockerfile.replace(base.pinned, "")
    tag = image_tag(base.documents.manifest.digest, layer.digest, requirements, recipe)
    image = f"{target.reference.name}:{tag}"
    with build_lock(image):
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
            # Remove only the name: the layers are the next build's cache.
            client.remove_image(image, noprune=True)
        built = _find_built(target, tag, base, layer.digest)
    if built is None:
        raise ImageBuildFailedError(
            image,
            "the Docker daemon pushed it, but the registry does not have it",
            f"make {target.reference.registry} the same registry for daemon and operator",
        )
    return built, False


def _find_built(target: Repository, tag: str, base: BaseImage, layer_digest: str) -> str | None:
    """The digest of the tagged image, if it was built from this base and this job folder."""
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
    """The job's credentials or none, never those in a Docker configuration of the home folder."""
    credentials = repository.access.credentials
    if credentials is None:
        return {}
    return {
        "username": credentials.username,
        "password": credentials.password,
        "serveraddress": repository.reference.registry,
    }


def _index_settings() -> dict[str, str]:
    """The operator's package index settings, as build arguments; these are visible in the image."""
    given = {name: os.environ[name] for name in _INDEX_SETTINGS if os.environ.get(name)}
    for name, value in given.items():
        if any(urlsplit(url).password for url in value.split()):
            raise ImageBuildFailedError(
                f"environment variable {name}",
                "it contains a password, which would be readable in the image",
                "use an index that needs no password",
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
            f"no daemon answers ({error})",
            "set DOCKER_HOST for the operator, or leave spec.model.requirements empty and "
            "use image.builder: append with a base that has the packages",
        ) from error
    try:
        yield client
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        raise ImageBuildFailedError(
            "Docker daemon", f"it fails: {error}", "read the daemon's log"
        ) from error
    finally:
        client.close()


def follow_build(events: Iterable[Mapping[str, Any]], image: str) -> None:
    """Reads the events of a build to the end.

    Raises:
        ImageBuildFailedError: The build failed; the message ends with the log's last lines.
    """
    log: deque[str] = deque(maxlen=_LAST_LINES)
    failure = None
    for event in events:  # also after an error: only then is the connection free again
        lines = _COLOUR.sub("", str(event.get("stream", ""))).splitlines()
        log.extend(
            line.rstrip()[:_LINE_LENGTH]
            for line in lines
            if line.strip() and not line.startswith(_NOISE)
        )
        failure = failure or event.get("error")
    if failure:
        raise ImageBuildFailedError(
            image,
            f"the build failed: {failure}",
            "correct spec.model.requirements; the build's last lines:\n" + "\n".join(log),
        )


def follow_transfer(
    events: Iterable[Mapping[str, Any]], registry: str, image: str, secret: str
) -> None:
    """Reads the events of a pull or a push to the end.

    Raises:
        ImageError: It failed, see `transfer_error`.
    """
    errors = [str(event["error"]) for event in events if "error" in event]
    if errors:
        raise transfer_error(errors[0], registry, image, secret)


def transfer_error(message: str, registry: str, image: str, secret: str) -> ImageError:
    """The error for a failed pull or push; the daemon gives its cause only as free text."""
    problem = f"the Docker daemon reports: {message.strip()[:_LINE_LENGTH]}"
    if any(text in message.lower() for text in _UNREACHABLE):
        return RegistryUnreachableError(
            registry,
            problem,
            "make the daemon reach and trust it (its CA in /etc/docker/certs.d, or "
            "insecure-registries), or use image.builder: append",
        )
    if any(text in message.lower() for text in _REFUSED):
        return RegistryRefusedError(registry, problem, secret)
    return ImageBuildFailedError(image, problem, "read the daemon's log")
