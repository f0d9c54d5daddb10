"""Public addresses: those that a server may be sent to without reaching into its own network."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")

_METADATA = IPv4Address("168.63.129.16")
"""Azure answers its virtual machines there, on an address that looks public."""


def is_public(text: str) -> bool:
    """Whether an IP address is anybody's to reach: global unicast, in whatever it is wrapped."""
    address = ip_address(text)
    if isinstance(address, IPv6Address):
        inner = _inner(address)
        if inner is not None:
            return is_public(str(inner))
        return address in _UNICAST and address.is_global
    return address.is_global and not address.is_multicast and address != _METADATA


def _inner(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 one stands for: mapped, by NAT64 or 6to4."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour
