"""What a Docker daemon says while it pulls, builds and pushes, read for a person."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from fedjob_operator.image.errors import (
    ImageBuildFailedError,
    ImageError,
    RegistryRefusedError,
    RegistryUnreachableError,
)

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


def follow_build(events: Iterable[Mapping[str, Any]], image: str) -> None:
    """Reads a build to its end.

    Raises:
        ImageBuildFailedError: It failed; the message ends with the log's last lines.
    """
    log: deque[str] = deque(maxlen=_LAST_LINES)
    failure = None
    for event in events:  # to the end, also after an error: only then is the connection free
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
    """Reads a pull or a push to its end.

    Raises:
        ImageError: It failed, see `transfer_error`.
    """
    errors = [str(event["error"]) for event in events if "error" in event]
    if errors:
        raise transfer_error(errors[0], registry, image, secret)


def transfer_error(message: str, registry: str, image: str, secret: str) -> ImageError:
    """Tells a refusal from an absence: the daemon gives both as prose."""
    said = f"the Docker daemon says: {message.strip()[:_LINE_LENGTH]}"
    if any(words in message.lower() for words in _UNREACHABLE):
        return RegistryUnreachableError(
            registry,
            said,
            "make the daemon reach and trust it (its CA in /etc/docker/certs.d, or "
            "insecure-registries), or use image.builder: append",
        )
    if any(words in message.lower() for words in _REFUSED):
        return RegistryRefusedError(registry, said, secret)
    return ImageBuildFailedError(image, said, "look at the daemon's log")
