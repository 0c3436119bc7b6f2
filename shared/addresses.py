"""Which addresses on the network a request may go to whose target a stranger chose (server-side request forgery)."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
_TRANSLATED: Final = IPv6Network("64:ff9b::/96")
"""NAT64: the last 32 bits are an IPv4 address (RFC 6052)."""
_PROTOCOLS: Final = IPv6Network("2001::/23")
"""Teredo and other protocols' own (RFC 2928)."""
_CLOSED: Final = (
    # Not routed on the internet, which Python's table does not say of every one of them in each of its versions.
    IPv4Network("0.0.0.0/8"),
    IPv4Network("100.64.0.0/10"),
    IPv4Network("192.0.0.0/24"),
    IPv4Network("192.88.99.0/24"),
    IPv4Network("198.18.0.0/15"),
    # Public by its number, and each machine of Azure's own host.
    IPv4Network("168.63.129.16/32"),
)


@dataclass(frozen=True, slots=True)
class Networks:
    """Networks that are allowed although they are not public: by default none."""

    allowed: tuple[IPv4Network | IPv6Network, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Networks:
        """From networks separated by commas: `127.0.0.0/8,fd00::/8`. Raises `ValueError` for anything else."""
        try:
            return cls(tuple(ip_network(part.strip()) for part in text.split(",") if part.strip()))
        except ValueError:
            raise ValueError("each network looks like 10.1.0.0/16 or fd00::/8, without bits behind its length") from None

    def admit(self, address: str) -> bool:
        """True where a connection may go there: it is public, or in an allowed network. `address` is an IP address in numbers;
        anything else is not admitted."""
        parsed = _parsed(address)
        return parsed is not None and self._admit(parsed)

    def trust(self, address: str) -> bool:
        """True where it is in an allowed network, be that a public one or not."""
        parsed = _parsed(address)
        if isinstance(parsed, IPv6Address) and parsed in _TRANSLATED:
            return self._is_allowed(parsed) or self._is_allowed(IPv4Address(int(parsed) & 0xFFFFFFFF))
        return parsed is not None and self._is_allowed(parsed)

    def _is_allowed(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self.allowed)

    def _admit(self, address: IPv4Address | IPv6Address) -> bool:
        if self._is_allowed(address):
            return True
        if isinstance(address, IPv4Address):
            closed = address.is_multicast or not address.is_global or any(address in network for network in _CLOSED)
            return not closed
        if address in _TRANSLATED:
            return self._admit(IPv4Address(int(address) & 0xFFFFFFFF))
        if address.sixtofour is not None and not self._admit(address.sixtofour):
            return False
        return address in _GLOBAL_UNICAST and address not in _PROTOCOLS and address.is_global


def is_address(text: str) -> bool:
    """An IP address in numbers, and no name."""
    return _parsed(text) is not None


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    """An IPv4 address in the clothes of an IPv6 one is an IPv4 address."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return parsed if mapped is None else mapped
