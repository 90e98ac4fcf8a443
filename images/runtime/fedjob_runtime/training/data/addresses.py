"""Which network addresses an image may come from: public ones, decided after resolving the name."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from typing import Any

from fedjob.public_addresses import is_public
from fedjob_runtime.training.errors import ImageRefusedError, ImageUnavailableError

ALLOW_VARIABLE = "FEDJOB_ALLOW_IMAGE_HOSTS"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A checked address, to be connected to as it is, without another look-up of the name."""

    family: socket.AddressFamily
    address: tuple[Any, ...]


def allowed_hosts() -> frozenset[str]:
    """`host` and `host:port` entries of FEDJOB_ALLOW_IMAGE_HOSTS, separated by commas."""
    entries = os.environ.get(ALLOW_VARIABLE, "").split(",")
    return frozenset(entry.strip().lower() for entry in entries if entry.strip())


def resolve(host: str, port: int, allow_hosts: frozenset[str]) -> list[Endpoint]:
    """Looks a name up and checks every address that it has.

    Args:
        host: A name or an address.
        port: 1..65535.
        allow_hosts: Hosts whose addresses may be private.

    Raises:
        ImageRefusedError: One of its addresses is not public; all must be, since a name that has
            both kinds is an attack or a mistake.
        ImageUnavailableError: The name does not exist.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ImageUnavailableError(
            f"the host {host} cannot be resolved: {error}", "correct the address, or check DNS"
        ) from error
    allowed = bool({host.lower(), f"{host.lower()}:{port}"} & allow_hosts)
    private = sorted({str(entry[4][0]) for entry in found if not is_public(str(entry[4][0]))})
    if private and not allowed:
        raise ImageRefusedError(
            f"the host {host} has an address that is not public: {', '.join(private)}",
            f"put the images into the shard, or name the host in {ALLOW_VARIABLE}",
        )
    return [Endpoint(family, address) for family, _, _, _, address in found]
