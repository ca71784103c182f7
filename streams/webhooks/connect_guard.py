"""Which addresses a webhook may reach: nothing private, reserved or special, unless it is on the allow list.

A subscription's address is written by a stranger, and the sender sits inside a network. The rule is checked twice: when
a subscription is made, so that its maker is told, and at every connection with the very address that is dialled, which
a name that changes its answer in between cannot evade. Python's `is_global` is no rule: its answers differ by version.
"""

import errno
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Literal
from urllib.parse import urlsplit

import aiohttp

from ledger.errors import WrongCall
from streams.webhooks.bounded_socket import BoundedSocket
from streams.webhooks.resolver import Resolver, addresses_of

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Scheme = Literal["http", "https"]

FORBIDDEN: tuple[Network, ...] = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",  # this network; Linux takes it for this machine
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # carriers' shared addresses; cloud metadata of some
            "127.0.0.0/8",  # loopback
            "168.63.129.16/32",  # the host under a virtual machine in Azure
            "169.254.0.0/16",  # link-local; cloud metadata
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocol assignments
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # 6to4 relays
            "192.168.0.0/16",  # private
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, broadcast
            "::/3",  # loopback, IPv4-compatible, local NAT64, discard: all below the global unicast block 2000::/3
            "2001::/23",  # protocol assignments, Teredo
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4
            "3fff::/20",  # documentation
            "4000::/2",  # unassigned
            "8000::/1",  # unassigned, unique local, link-local, site-local, multicast
        ),
    )
)
"""From IANA's registries of special-purpose addresses, widened where a whole block has no public use."""

CARRIES_IPV4: tuple[IPv6Network, ...] = (IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"))
"""IPv4-mapped and NAT64: the last 32 bits are where the connection ends, so those are judged."""

PORTS = frozenset({443, 8443})


class ForbiddenAddress(OSError):  # noqa: N818  an OSError, so that a connection fails by it like by any other
    """The address is none that a webhook may reach."""

    def __init__(self, why: str) -> None:
        super().__init__(errno.EACCES, why)

    def __str__(self) -> str:
        return str(self.strerror)


@dataclass(frozen=True, slots=True)
class ConnectGuard:
    """Judges addresses.

    Attributes:
        allowed: networks that may be reached although private, on any port, by http as well as https.
    """

    allowed: tuple[Network, ...] = ()

    def check(self, address: str, port: int, scheme: Scheme) -> None:
        """Judge one address that is about to be dialled.

        Raises:
            ForbiddenAddress: saying why.
        """
        target = _end_of(ip_address(address))
        if any(target in network for network in self.allowed):
            return
        if any(target in network for network in FORBIDDEN):
            raise ForbiddenAddress(f"{address} is a private, local or reserved address")
        if scheme != "https":
            raise ForbiddenAddress(f"{address} may be reached by https only")
        if port not in PORTS:
            raise ForbiddenAddress(f"{address} may be reached on port 443 or 8443 only, not on {port}")

    def connector(self, scheme: Scheme) -> aiohttp.TCPConnector:
        """A connector that dials no address this guard forbids, for addresses of one scheme."""

        def open_socket(found: Any) -> socket.socket:
            family, kind, protocol, _, dialled = found
            self.check(dialled[0], dialled[1], scheme)
            return BoundedSocket(family=family, type=kind, proto=protocol)

        return aiohttp.TCPConnector(limit=0, keepalive_timeout=2, socket_factory=open_socket, resolver=Resolver())

    async def check_url(self, url: str) -> None:
        """Judge the address that a subscription asks for, with whatever its name means right now.

        Raises:
            WrongCall: saying what to write instead.
        """
        scheme, host, port = _parts_of(url)
        try:
            found = await addresses_of(host, port)
        except (OSError, UnicodeError):
            raise WrongCall(f"url: the name {host} has no address") from None
        try:
            for *_, dialled in found:
                self.check(str(dialled[0]), port, scheme)
        except ForbiddenAddress as refusal:
            advice = "; a network of your own is opened by QUOTA_WEBHOOK_ALLOW"
            raise WrongCall(f"url: {refusal}{advice}") from None


def read_allowed(networks: str) -> tuple[Network, ...]:
    """The setting `QUOTA_WEBHOOK_ALLOW`: networks such as `10.1.0.0/16, ::1/128`, separated by commas.

    Raises:
        WrongCall: naming the part that is no network.
    """
    return tuple(_read_networks(networks))


def _read_networks(networks: str) -> Iterable[Network]:
    for text in filter(None, map(str.strip, networks.split(","))):
        try:
            yield ip_network(text)
        except ValueError as failure:
            raise WrongCall(f"QUOTA_WEBHOOK_ALLOW: {failure}; write networks such as 10.1.0.0/16") from None


def _parts_of(url: str) -> tuple[Scheme, str, int]:
    """Scheme, host and port of an address, or why it is none."""
    if not url.isascii() or any(ord(character) <= ord(" ") or character == "\\" for character in url):
        raise WrongCall("url: write it in ASCII, without spaces and backslashes (names as xn--, paths percent-encoded)")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as failure:
        raise WrongCall(f"url: {failure}") from None
    if parts.scheme not in ("http", "https") or not host:
        raise WrongCall("url: write an address such as https://example.com/alerts")
    if parts.username is not None or parts.password is not None:
        raise WrongCall("url: leave out user name and password; a receiver verifies the signature instead")
    scheme: Scheme = "https" if parts.scheme == "https" else "http"
    return scheme, host, port if port is not None else {"http": 80, "https": 443}[scheme]


def _end_of(address: Address) -> Address:
    """Where a connection to the address ends, if the address only wraps another."""
    if isinstance(address, IPv6Address) and any(address in network for network in CARRIES_IPV4):
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address
