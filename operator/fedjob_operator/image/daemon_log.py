"""What a Docker daemon says while it pulls, builds and pushes, read for a person."""

from __future__ import annotations

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
    for event in events:
        log.extend(
            line.rstrip()[:_LINE_LENGTH]
            for line in str(event.get("stream", "")).splitlines()
            if line.strip() and not line.startswith(_NOISE)
        )
        if "error" in event:
            raise ImageBuildFailedError(
                image,
                f"the build failed: {event['error']}",
                "correct spec.model.requirements; the build's last lines:\n" + "\n".join(log),
            )


def follow_transfer(
    events: Iterable[Mapping[str, Any]], registry: str, image: str, secret: str
) -> None:
    """Reads a pull or a push to its end.

    Raises:
        ImageError: It failed, see `transfer_error`.
    """
    for event in events:
        if "error" in event:
            raise transfer_error(str(event["error"]), registry, image, secret)


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
