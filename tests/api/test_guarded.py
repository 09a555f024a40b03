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


async def test_one_address_has_half_of_the_connections(bounded: Server) -> None:
    ours = [await connect(bounded) for _ in range(BOUND // 2)]
    assert [await says(one) for one in ours] == [b"HTTP/1.1 200 OK"] * len(ours)
    further = await connect(bounded)
    assert (await asyncio.wait_for(further[0].read(), 10)).startswith(b"HTTP/1.1 503 ")
    assert refused(bounded, "too_many_of_one") == 1
    assert await says(await connect(bounded, "127.0.0.2")) == b"HTTP/1.1 200 OK"
    ours[0][1].close()
    await ours[0][1].wait_closed()
    until = time.monotonic() + 5
    while await says(await connect(bounded)) != b"HTTP/1.1 200 OK":
        assert time.monotonic() < until, "a place that was given up is free again"
    for other in (2, 3):
        await says(await connect(bounded, f"127.0.0.{other}"))


async def test_all_together_have_so_many(bounded: Server) -> None:
    clients = [await connect(bounded, f"127.0.0.{2 + number}") for number in range(BOUND + 2)]
    answers = [await says(client) for client in clients]
    assert answers.count(b"HTTP/1.1 200 OK") == BOUND
    assert answers[BOUND:] == [b"HTTP/1.1 503 Service Unavailable"] * 2
    assert refused(bounded, "too_many") == 2


def test_descriptors_are_kept_for_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    for soft, bound in ((resource.RLIM_INFINITY, 4096), (8192, 4096), (1024, 896), (64, 32), (1, 1)):
        monkeypatch.setattr(resource, "getrlimit", lambda _what, soft=soft: (soft, soft))
        assert connections_bound(4096) == bound
