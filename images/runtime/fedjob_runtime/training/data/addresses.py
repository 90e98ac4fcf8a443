"""Which network addresses an image may come from: public ones, decided after resolving the name."""

from __future__ import annotations

import ipaddress
import os
import socket
from dataclasses import dataclass
from typing import Any

from fedjob_runtime.training.errors import ImageRefusedError, ImageUnavailableError

ALLOW_VARIABLE = "FEDJOB_ALLOW_IMAGE_HOSTS"

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_REFUSED = (
    ipaddress.ip_network(
        "168.63.129.16/32"
    ),  # a cloud's metadata and agent service, in public space
    ipaddress.ip_network("192.0.0.0/24"),  # IETF protocols, RFC 6890; a cloud's metadata service
    ipaddress.ip_network("192.88.99.0/24"),  # 6to4 relays, RFC 7526
    ipaddress.ip_network("2001::/32"),  # Teredo: the IPv4 address inside is anybody's guess
    ipaddress.ip_network("64:ff9b:1::/48"),  # local NAT64, RFC 8215
    ipaddress.ip_network("fec0::/10"),  # site-local, RFC 3879
)

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A checked address, to be connected to as it is, without another look-up of the name."""

    family: socket.AddressFamily
    address: tuple[Any, ...]


def allowed_hosts() -> frozenset[str]:
    """`host` and `host:port` entries of FEDJOB_ALLOW_IMAGE_HOSTS, separated by commas."""
    entries = os.environ.get(ALLOW_VARIABLE, "").split(",")
    return frozenset(entry.strip().lower() for entry in entries if entry.strip())


def is_public(text: str) -> bool:
    """Whether an address is one of the public internet's.

    Private, shared, loopback, link-local (with the clouds' metadata services), multicast, reserved
    and documentation ranges are not (IANA special-purpose registries); nor is an IPv6 address that
    stands for such an IPv4 one.
    """
    address: IPAddress = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    if any(address in network for network in _REFUSED if network.version == address.version):
        return False
    return address.is_global and not (
        address.is_multicast or address.is_reserved or address.is_unspecified
    )


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
