"""Builder `docker`: a Docker daemon builds and pushes the image, for jobs that need packages."""

from __future__ import annotations

import io
import ipaddress
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

from fedjob_operator.image.base_image import find_base
from fedjob_operator.image.build_context import make_context, render_dockerfile
from fedjob_operator.image.build_lock import build_lock
from fedjob_operator.image.errors import (
    DaemonNotAllowedError,
    ImageBuildFailedError,
    ImageError,
    RegistryRefusedError,
    RegistryUnreachableError,
)
from fedjob_operator.image.layer import make_layer
from fedjob_operator.image.manifests import Platform
from fedjob_operator.image.registry_client import Repository
from fedjob_operator.image.tag import image_tag
from fedjob_operator.kube.built_images import BuiltImages

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
    *,
    platform: Platform,
    built: BuiltImages,
) -> tuple[str, bool]:
    """Builds the image, unless this operator has built it and the registry still has it.

    The tag in the registry is not asked: others may have pushed something else under it.

    Works with the classic builder of Docker 20.10. Concurrent calls in this process build once;
    two operators may build twice, and both images are correct.

    Args:
        source: The base image's repository, with its tag or digest.
        target: The job image's repository. The daemon must know its registry by the same name.
        files: The job folder.
        requirements: The packages to install, as PEP 508 requirements.
        platform: Selects one manifest of a multi-platform base.
        built: What was built so far; gets the new image.

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
        known = built.digest(image)
        if known is not None and target.manifest(known) is not None:
            return known, True
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
            digest = _push(client, target, tag)
            # Remove only the name: the layers are the next build's cache.
            client.remove_image(image, noprune=True)
        there = target.manifest(digest) is not None
        if there:
            built.add(image, digest)
    if not there:
        raise ImageBuildFailedError(
            image,
            "the Docker daemon pushed it, but the registry does not have it",
            f"make {target.reference.registry} the same registry for daemon and operator",
        )
    return digest, False


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


def _push(client: docker.APIClient, target: Repository, tag: str) -> str:
    """Pushes the image, and returns the digest that the daemon reports for it."""
    reference = target.reference
    events = client.push(
        reference.name, tag=tag, auth_config=_auth(target), stream=True, decode=True
    )
    image = f"{reference.name}:{tag}"
    digest = follow_transfer(events, reference.registry, image, target.access.secret)
    if not digest:
        problem = "the Docker daemon pushed it and reported no digest"
        raise ImageBuildFailedError(image, problem, "use a Docker daemon of version 20.10 or later")
    return digest


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


def check_daemon(environment: Mapping[str, str]) -> None:
    """Refuses a daemon that anybody on the network may command, or may pretend to be.

    Args:
        environment: DOCKER_HOST, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH, as the docker command
            reads them.

    Raises:
        DaemonNotAllowedError: DOCKER_HOST is reached over the network without TLS certificates.
    """
    url = urlsplit(environment.get("DOCKER_HOST", ""))
    if url.scheme not in ("tcp", "http", "https") or _is_loopback(url.hostname or ""):
        return
    if not environment.get("DOCKER_TLS_VERIFY") or not environment.get("DOCKER_CERT_PATH"):
        raise DaemonNotAllowedError(
            "Docker daemon",
            f"{url.geturl()} is reached without TLS certificates",
            "have the daemon ask for client certificates, and give the operator's (the chart's "
            "builds.dockerTls.secretName); or use image.builder: append",
        )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@contextmanager
def _daemon() -> Iterator[Any]:
    check_daemon(os.environ)
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
) -> str:
    """Reads the events of a pull or a push to the end.

    Returns:
        The digest of what was pushed; empty for a pull.

    Raises:
        ImageError: It failed, see `transfer_error`.
    """
    errors: list[str] = []
    digest = ""
    for event in events:
        if "error" in event:
            errors.append(str(event["error"]))
        digest = str((event.get("aux") or {}).get("Digest") or digest)
    if errors:
        raise transfer_error(errors[0], registry, image, secret)
    return digest


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
