"""Which addresses a stranger may send a request to."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.addresses import Networks
from shared.config import OutsideSettings

CLOSED = [
    "0.0.0.0",  # noqa: S104  # to be refused, not to be bound
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.255",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:7f00:1",
    "64:ff9b::7f00:1",
    "64:ff9b::a00:1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "5f00::1",
]
OPEN = [
    "1.1.1.1",
    "8.8.8.8",
    "157.240.1.1",
    "172.15.0.1",
    "172.32.0.1",
    "2606:4700::1111",
    "2a03:2880::1",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]


@pytest.mark.parametrize("address", CLOSED)
def test_what_is_not_public_is_closed(address: str) -> None:
    assert not Networks().admit(address)


@pytest.mark.parametrize("address", OPEN)
def test_what_is_public_is_open(address: str) -> None:
    assert Networks().admit(address)


@pytest.mark.parametrize("text", ["", "localhost", "127.1", "2130706433", "0x7f.1", "1.2.3.4.5", "::g", "127.0.0.1:80"])
def test_what_is_no_address_in_numbers_is_closed(text: str) -> None:
    assert not Networks.parse("0.0.0.0/0,::/0").admit(text)


def test_the_operator_allows_networks_in_either_spelling_of_their_addresses() -> None:
    networks = Networks.parse("10.1.0.0/16, fd00::/8")
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::a01:203", "fd12::1"):
        assert networks.admit(address), address
        assert networks.trust(address), address
    for address in ("10.2.0.1", "127.0.0.1", "::1", "fc00::1"):
        assert not networks.admit(address), address
    for address in ("1.1.1.1", "2606:4700::1111", "::1", "localhost", ""):
        assert not networks.trust(address), "public is not trusted"


@given(st.ip_addresses())
def test_no_address_is_open_that_python_knows_to_be_none_of_the_internets(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if address.is_private or address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified:
        embedded = getattr(address, "ipv4_mapped", None)
        assert Networks().admit(str(address)) == (embedded is not None and Networks().admit(str(embedded)))


@pytest.mark.parametrize("text", ["10.1.0.1/16", "10.1", "x", "10.0.0.0/33"])
def test_settings_that_name_no_network_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="network"):
        OutsideSettings(allowed_networks=text)
