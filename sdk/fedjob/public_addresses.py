"""Which network addresses belong to the public internet."""

from __future__ import annotations

import ipaddress

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
