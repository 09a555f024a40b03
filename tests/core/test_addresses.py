"""Addresses that receivers must not have, in every spelling; judged after resolving, and pinned."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from imd.channels.contract import Receipt, Temporary
from imd.channels.http import Endpoint, HttpBounds, HttpClient
from imd.channels.webhook import Webhook
from imd.clock import SystemClock
from imd.model.addresses import never, odd_literal, refused
from tests.channels.samples import delivery
from tests.channels.server import Server, answer

ALWAYS = [
    "169.254.169.254",
    "169.254.0.1",
    "169.254.255.255",
    "100.100.100.200",
    "192.0.0.192",
    "168.63.129.16",
    "224.0.0.1",
    "255.255.255.255",
    "fe80::1",
    "fe80::1%1",
    "febf::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "ff02::1",
    "::ffff:169.254.169.254",
    "::ffff:a9fe:a9fe",
    "::ffff:100.100.100.200",
    "::169.254.169.254",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "2001:0:1:1::5601:5601",
]
PRIVATE = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "100.127.255.255",
    "198.18.0.1",
    "::1",
    "::",
    "fc00::1",
    "fdff::1",
    "fec0::1",
    "::ffff:127.0.0.1",
    "::ffff:10.1.2.3",
    "::127.0.0.1",
    "64:ff9b::10.0.0.1",
    "2002:7f00:1::",
]
PUBLIC = [
    "1.1.1.1",
    "100.63.255.255",
    "100.128.0.1",
    "172.32.0.1",
    "192.167.255.255",
    "169.253.0.1",
    "169.255.0.1",
    "11.0.0.1",
    "2606:4700::1111",
    "2a00:1450:4001::1",
    "::ffff:1.1.1.1",
    "64:ff9b::1.1.1.1",
]


@pytest.mark.parametrize("address", ALWAYS)
def test_always_refused(address: str) -> None:
    assert refused(address, allow_private=True)
    assert refused(address, allow_private=False)


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_refused_on_request(address: str) -> None:
    assert refused(address, allow_private=True) is None
    assert refused(address, allow_private=False)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_pass(address: str) -> None:
    assert refused(address, allow_private=False) is None


ODD = [
    "2130706433",
    "017700000001",
    "0x7f000001",
    "0x7f.1",
    "127.1",
    "127.0.1",
    "0177.0.0.1",
    "0x7f.0x0.0x0.0x1",
    "00.0.0.0",
    "2852039166",
    "1",
]


@pytest.mark.parametrize("host", ODD)
def test_numbers_in_disguise(host: str) -> None:
    assert odd_literal(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "::1", "1and1.com", "0xcafe.example", "a.1", "localhost"])
def test_honest_hosts(host: str) -> None:
    assert not odd_literal(host)


CORPUS = [
    *(f"http://{host}:{{port}}/" for host in ODD),
    *(f"http://[{a}]:{{port}}/" if ":" in a else f"http://{a}:{{port}}/" for a in ALWAYS if "%" not in a),
    *(f"http://[{a}]:{{port}}/" if ":" in a else f"http://{a}:{{port}}/" for a in PRIVATE),
    "http://localhost:{port}/",
    "http://localhost.:{port}/",
    "http://LOCALHOST:{port}/",
    "http://example.com@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}#@example.com/",
    "http://127。0。0。1:{port}/",
    "http://①②⑦.0.0.1:{port}/",
    "http://127.0.0.1.:{port}/",
]


@pytest.mark.parametrize("url", CORPUS)
async def test_corpus_never_reaches_a_private_server(url: str) -> None:
    """With allow_private off, no spelling of a refused address gets a connection."""
    http = HttpClient(HttpBounds(connect=1.0, total=1.5))
    async with Server([answer(200)]) as server:
        channel = Webhook(Endpoint(url.format(port=server.port), allow_private=False), None, http, SystemClock())
        given = await channel.send(delivery(), 1)
    await http.close()
    assert server.connections == 0
    assert not isinstance(given, Receipt)


async def test_names_are_judged_by_what_they_resolve_to() -> None:
    """localhost is private by its address, not by its name."""
    http = HttpClient()
    async with Server([answer(200)]) as server:
        url = f"http://localhost:{server.port}/"
        open_ = await http.post(Endpoint(url, allow_private=True), b"{}", {}, datetime.now(UTC))
        closed = await http.post(Endpoint(url, allow_private=False), b"{}", {}, datetime.now(UTC))
    await http.close()
    assert isinstance(open_, Receipt)
    assert closed == Temporary(f"http://localhost:{server.port} has an address that is not allowed: this host")
    assert server.connections == 1


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        ("169.254.169.254", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("::ffff:169.254.169.254", "link-local"),
        ("100.100.100.200", "a metadata service"),
        ("0xa9.254.169.254", "an odd spelling of an address"),
        ("127.0.0.1", ""),
        ("10.0.0.1", ""),
        ("hooks.example", ""),
        ("169.254.169.254.example", ""),
        ("", ""),
    ],
)
def test_what_is_never_called_is_known_by_its_literal(host: str, kind: str) -> None:
    assert never(host) == kind
