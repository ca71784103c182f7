"""No webhook reaches a private, local or reserved address, however it is written, unless that is allowed."""

import asyncio
import socket
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver

from ledger.errors import WrongCall
from streams.webhooks.connect_guard import ConnectGuard, ForbiddenAddress, Scheme, read_allowed

FORBIDDEN = """
    0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.100.100.200 100.127.255.255 127.0.0.1 127.255.255.254
    168.63.129.16 169.254.0.1 169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.8 192.0.0.170 192.0.2.1 192.88.99.1
    192.168.0.1 192.168.255.255 198.18.0.1 198.19.255.255 198.51.100.7 203.0.113.9 224.0.0.1 239.255.255.255 240.0.0.1
    255.255.255.255
    :: ::1 ::2 ::127.0.0.1 ::8.8.8.8 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:7f00:1
    ::ffff:0:127.0.0.1 64:ff9b::127.0.0.1 64:ff9b::a9fe:a9fe 64:ff9b::10.1.1.1 64:ff9b:1::1 64:ff9b:1::8.8.8.8 100::1
    100:0:0:1::1 2001::1 2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:2::1 2001:10::1 2001:20::1 2001:db8::1 2002:7f00:1::
    2002:a9fe:a9fe::1 2002:808:808::1 3fff::1 4000::1 5f00::1 8000::1 fc00::1 fd00:ec2::254 fdff::1 fe80::1 fe80::1%1
    febf::1 fec0::1 ff02::1 ff0e::1
""".split()  # noqa: SIM905  a list of that length reads best as text
PUBLIC = [
    "8.8.8.8",
    "172.32.0.1",
    "100.128.0.1",
    "2606:4700::1111",
    "2a00:1450::1",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]

FORBIDDEN_HOSTS = """
    127.0.0.1 127.0.0.1. 127.1 127.0.1 2130706433 0x7f000001 0x7f.1 0x7F.0x0.0x0.0x1 0177.0.0.1 0177.1 017700000001
    0 0x0 00 0.0.0.0 localhost localhost. LOCALHOST 10.1 10.0.0.1:8443 0xa.1 012.0.0.1 167772161 172.16.1
    0254.0020.0.1 2886729729 192.168.257 0300.0250.0.1 3232235777 0xC0A80101 169.254.169.254 169.254.43518 0xa9fea9fe
    2852039166 0251.0376.0251.0376 100.100.100.200 192.0.0.192 168.63.129.16 224.0.0.1 255.255.255.255 4294967295
    [::] [::1] [0:0:0:0:0:0:0:1] [::ffff:127.0.0.1] [::ffff:7f00:1] [0:0:0:0:0:ffff:7f00:1] [::FFFF:A9FE:A9FE]
    [::127.0.0.1] [::ffff:0:7f00:1] [64:ff9b::7f00:1] [64:ff9b::169.254.169.254] [64:ff9b:1::1] [2002:7f00:1::]
    [2002:a9fe:a9fe::] [2001:0:7f00:1::] [fe80::1] [fe80::1%25lo] [fe80::1%lo] [::1%25lo] [fc00::1] [fd00:ec2::254]
    [fec0::1] [ff02::1] [2001:db8::1]
""".split()  # noqa: SIM905  as above
FORBIDDEN_URLS = [f"https://{host}/latest/meta-data/" for host in FORBIDDEN_HOSTS]


@pytest.mark.parametrize("address", FORBIDDEN)
def test_an_address_without_public_use_is_refused(address: str) -> None:
    with pytest.raises(ForbiddenAddress, match="private, local or reserved"):
        ConnectGuard().check(address, 443, "https")


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_reached_by_https_on_443_and_8443_only(address: str) -> None:
    guard = ConnectGuard()

    guard.check(address, 443, "https")
    guard.check(address, 8443, "https")
    with pytest.raises(ForbiddenAddress, match="443 or 8443"):
        guard.check(address, 6379, "https")
    with pytest.raises(ForbiddenAddress, match="https only"):
        guard.check(address, 443, "http")


def test_an_allowed_network_is_reached_on_any_port_by_http_and_its_neighbour_is_not() -> None:
    guard = ConnectGuard(read_allowed(" 10.1.0.0/16, ::1/128 ,"))

    guard.check("10.1.2.3", 8080, "http")
    guard.check("::ffff:10.1.2.3", 8080, "http")
    guard.check("::1", 80, "http")
    for neighbour in ("10.2.0.1", "::2", "127.0.0.1"):
        with pytest.raises(ForbiddenAddress):
            guard.check(neighbour, 8080, "http")


@pytest.mark.parametrize("networks", ["10.1.2.3/16", "loopback", "10.0.0.0/8;127.0.0.0/8", "10.0.0.0/33"])
def test_an_allow_list_that_is_none_is_refused_by_name(networks: str) -> None:
    with pytest.raises(WrongCall, match="QUOTA_WEBHOOK_ALLOW"):
        read_allowed(networks)


@pytest.mark.parametrize("url", FORBIDDEN_URLS)
async def test_a_subscription_to_this_machine_or_its_network_is_refused_however_it_is_written(url: str) -> None:
    with pytest.raises(WrongCall, match=r"^url: "):
        await ConnectGuard().check_url(url)


@pytest.mark.parametrize("url", FORBIDDEN_URLS)
async def test_the_connection_itself_is_refused_too(url: str) -> None:
    async with aiohttp.ClientSession(connector=ConnectGuard().connector("https")) as session:
        with pytest.raises((aiohttp.ClientError, ValueError)) as refusal:
            await session.post(url, data=b"{}")

    never_dialled = isinstance(refusal.value, aiohttp.InvalidURL | aiohttp.ClientConnectorDNSError)
    assert never_dialled or "reserved address" in str(refusal.value)


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("http://8.8.8.8/", "https only"),
        ("https://8.8.8.8:22/", "443 or 8443"),
        ("ftp://8.8.8.8/", "such as https://"),
        ("file:///etc/passwd", "such as https://"),
        ("https:///path", "such as https://"),
        ("8.8.8.8", "such as https://"),
        ("https://8.8.8.8:port/", "url"),
        ("https://user:word@8.8.8.8/", "user name"),
        ("https://127.0.0.1@8.8.8.8/", "user name"),
        ("https://8.8.8.8\\@127.0.0.1/", "backslashes"),
        ("https://8.8.8.8/\r\nHost: x", "without spaces"),
        ("https://\uff11\uff12\uff17.0.0.1/", "ASCII"),
        ("https://[::1", "url"),
        ("https://no-such-name.invalid/", "has no address"),
    ],
)
async def test_an_address_that_cannot_be_subscribed_is_refused_with_advice(url: str, advice: str) -> None:
    with pytest.raises(WrongCall, match=advice):
        await ConnectGuard().check_url(url)


async def test_a_public_address_can_be_subscribed() -> None:
    await ConnectGuard().check_url("https://8.8.8.8/alerts?team=1")
    await ConnectGuard(read_allowed("127.0.0.0/8")).check_url("http://127.0.0.1:9000/alerts")


class Rebinding(AbstractResolver):
    """A name that means this machine by the time it is dialled."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> list[Any]:  # noqa: ARG002  aiohttp's interface
        return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": socket.AF_INET, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_name_that_turns_inward_after_it_was_checked_is_never_dialled(
    scheme: Scheme, monkeypatch: pytest.MonkeyPatch
) -> None:
    dialled: list[str] = []

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        dialled.append("inside")
        writer.close()

    inside = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = inside.sockets[0].getsockname()[1]
    connector = ConnectGuard().connector(scheme)
    monkeypatch.setattr(connector, "_resolver", Rebinding(port))
    async with inside, aiohttp.ClientSession(connector=connector) as session:
        with pytest.raises(aiohttp.ClientConnectorError, match="private, local or reserved"):
            await session.post(f"{scheme}://rebinding.example:{port}/", data=b"{}")

    assert dialled == []
