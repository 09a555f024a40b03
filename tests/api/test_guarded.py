"""Connections that creep, and too many of them: refused or cut off, while others are answered as usual."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from imd.api.guarded import connections_bound
from imd.config.settings import Limits, Settings
from tests.api.server import Server, serving

WITHIN = 0.4
BOUND = 8
HEALTHY = b"GET /-/healthy HTTP/1.1\r\nHost: imd\r\n\r\n"
Open = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def bounded(tmp_path: Path) -> AsyncIterator[Server]:
    limits = Limits(body_read_timeout=timedelta(seconds=WITHIN), connections_max=BOUND)
    async with serving(tmp_path, settings=Settings(limits=limits)) as made:
        yield made


@pytest.fixture
async def patient(tmp_path: Path) -> AsyncIterator[Server]:
    """Waits for the rest of a head or a body as long as a test may take."""
    limits = Limits(body_read_timeout=timedelta(seconds=30), connections_max=BOUND)
    async with serving(tmp_path, settings=Settings(limits=limits)) as made:
        yield made


async def connect(server: Server, address: str = "127.0.0.1") -> Open:
    return await asyncio.open_connection("127.0.0.1", server.port, local_addr=(address, 0))


async def says(client: Open, sent: bytes = HEALTHY) -> bytes:
    """The answer's first line."""
    client[1].write(sent)
    return (await asyncio.wait_for(client[0].readline(), 10)).strip()


def refused(server: Server, reason: str) -> float:
    found = server.metrics.registry.get_sample_value("imd_http_connections_refused_total", {"reason": reason})
    return found or 0.0


async def test_a_head_byte_by_byte_is_cut_off(bounded: Server) -> None:
    client = await connect(bounded)
    began = time.monotonic()
    answering = asyncio.ensure_future(client[0].read())
    for byte in HEALTHY[:-2]:
        client[1].write(bytes([byte]))
        await asyncio.wait([answering], timeout=0.05)
        if answering.done():
            break
    assert (await answering).startswith(b"HTTP/1.1 408 ")
    assert WITHIN <= time.monotonic() - began < 10 * WITHIN
    assert refused(bounded, "slow_head") == 1


async def test_the_time_for_a_head_begins_anew_with_each(bounded: Server) -> None:
    """A head in two parts is none that creeps; nor is a connection that waits long for its next request."""
    client = await connect(bounded)
    for _ in range(3):
        client[1].write(HEALTHY[:10])
        await asyncio.sleep(WITHIN / 2)
        assert await says(client, HEALTHY[10:]) == b"HTTP/1.1 200 OK"
        await client[0].readuntil(b"imd is healthy.\n")
    await asyncio.sleep(1.5 * WITHIN)
    assert await says(client) == b"HTTP/1.1 200 OK"
    assert refused(bounded, "slow_head") == 0


async def test_a_creeping_head_behind_an_answered_request_is_cut_off(bounded: Server) -> None:
    client = await connect(bounded)
    assert await says(client) == b"HTTP/1.1 200 OK"
    client[1].write(b"GET /-/hea")
    assert b" 408 " in await asyncio.wait_for(client[0].read(), 10)


async def begins(client: Open) -> None:
    """A request whose body is never complete: its connection does not wait, it is at work."""
    client[1].write(b"POST /api/v2/alerts HTTP/1.1\r\nHost: imd\r\nContent-Length: 99\r\nExpect: 100-continue\r\n\r\n[")
    assert await asyncio.wait_for(client[0].readline(), 10) == b"HTTP/1.1 100 Continue\r\n"


async def busy(server: Server, count: int, address: str = "127.0.0.1") -> list[Open]:
    made = [await connect(server, address) for _ in range(count)]
    for one in made:
        await begins(one)
    return made


async def test_one_address_has_half_of_the_connections(patient: Server) -> None:
    ours = await busy(patient, BOUND // 2)
    further = await connect(patient)
    assert (await asyncio.wait_for(further[0].read(), 10)).startswith(b"HTTP/1.1 503 ")
    assert refused(patient, "too_many_of_one") == 1
    assert await says(await connect(patient, "127.0.0.2")) == b"HTTP/1.1 200 OK"
    ours[0][1].close()
    await ours[0][1].wait_closed()
    until = time.monotonic() + 5
    while await says(await connect(patient)) != b"HTTP/1.1 200 OK":
        assert time.monotonic() < until, "a place that was given up is free again"
    for one in ours[1:]:
        one[1].close()


async def test_all_together_have_so_many(patient: Server) -> None:
    ours = [(await busy(patient, 1, f"127.0.0.{2 + number}"))[0] for number in range(BOUND)]
    further = [await connect(patient, f"127.0.0.{50 + number}") for number in range(2)]
    assert [await says(one) for one in further] == [b"HTTP/1.1 503 Service Unavailable"] * 2
    assert refused(patient, "too_many") == 2
    for one in ours:
        one[1].close()


async def test_a_newcomer_takes_the_place_of_who_waits_longest(patient: Server) -> None:
    """Whether it never said a word, half a head or had an answer long ago; one that was heard of since stays."""
    silent = await connect(patient, "127.0.0.2")
    half = await connect(patient, "127.0.0.3")
    half[1].write(b"GET /-/hea")
    answered = [await connect(patient, f"127.0.0.{4 + number}") for number in range(BOUND - 2)]
    assert {await says(one) for one in answered} == {b"HTTP/1.1 200 OK"}
    newcomers = [await connect(patient, "127.0.0.50"), await connect(patient, "127.0.0.51")]
    assert {await says(one) for one in newcomers} == {b"HTTP/1.1 200 OK"}
    for gone in (silent, half):
        assert await asyncio.wait_for(gone[0].read(), 10) == b""
    assert refused(patient, "made_room") == 2
    await answered[0][0].readuntil(b"imd is healthy.\n")
    assert await says(answered[0]) == b"HTTP/1.1 200 OK"
    newcomers.append(await connect(patient, "127.0.0.52"))
    assert await says(newcomers[-1]) == b"HTTP/1.1 200 OK"
    assert (await asyncio.wait_for(answered[1][0].read(), 10)).endswith(b"imd is healthy.\n"), (
        "the next in turn is gone"
    )
    assert refused(patient, "too_many") + refused(patient, "too_many_of_one") == 0


async def test_an_address_with_its_share_gives_up_its_own(patient: Server) -> None:
    other = await connect(patient, "127.0.0.2")
    ours = [await connect(patient) for _ in range(BOUND // 2)]
    assert {await says(one) for one in [other, *ours]} == {b"HTTP/1.1 200 OK"}
    newcomer = await connect(patient)
    assert await says(newcomer) == b"HTTP/1.1 200 OK"
    assert (await asyncio.wait_for(ours[0][0].read(), 10)).endswith(b"imd is healthy.\n")
    await other[0].readuntil(b"imd is healthy.\n")
    assert await says(other) == b"HTTP/1.1 200 OK"


def test_descriptors_are_kept_for_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    for soft, bound in ((resource.RLIM_INFINITY, 4096), (8192, 4096), (1024, 896), (64, 32), (1, 1)):
        monkeypatch.setattr(resource, "getrlimit", lambda _what, soft=soft: (soft, soft))
        assert connections_bound(4096) == bound
