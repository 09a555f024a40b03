"""Lists of any length: the loop turns while they are made and written, and they are the same as in one go."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from imd.api.long import AT_ONCE, LongAnswers, Runs, with_commas
from imd.daemon.garbage import settle_memory
from imd.model.rule import Rule
from tests.api.server import BENCH, Server, serving

ALERTS = int(os.environ.get("IMD_LISTED_ALERTS", "20000"))
TURN_SECONDS_MAX = 0.05
"""Of this thread's own time, which other processes on the machine do not change."""


class Turns:
    """The longest turn of the loop while this was awaited."""

    def __init__(self) -> None:
        self.longest = 0.0
        self.count = 0

    async def watch(self) -> None:
        before = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            self.longest, before = max(self.longest, now - before), now
            self.count += 1


async def _load(server: Server) -> None:
    for start in range(0, ALERTS, 1000):
        body = [
            {
                "labels": {
                    "alertname": f"A{n % 50}",
                    "instance": f"host-{n}",
                    "job": "node",
                    "namespace": f"n{n % 999}",
                },
                "annotations": {"summary": "the disk is nearly full"},
                "endsAt": (server.clock.now() + timedelta(days=1)).isoformat(),
            }
            for n in range(start, min(start + 1000, ALERTS))
        ]
        assert server.session is not None
        async with server.session.post(server.url + "/api/v2/alerts", json=body) as response:
            assert response.status == 200


@pytest.fixture
def _as_a_daemon() -> Iterator[None]:
    """The memory is as the daemon has it; a full collection would look at all that other tests left behind."""
    threshold = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)


@pytest.mark.slow
@pytest.mark.usefixtures("_as_a_daemon")
async def test_the_loop_turns_while_lists_are_made_and_written(tmp_path: Path) -> None:
    """Alertmanager's lists are unpaged, so they are as long as there are alerts. A client in a process of its own."""
    quiet = msgspec.structs.replace(BENCH, rules=(Rule(name="default", hold=timedelta(hours=1)),))
    async with serving(tmp_path, quiet) as server:
        await _load(server)
        for path in ("/api/v2/alerts", "/api/v2/alerts/groups", "/v1/alerts?limit=500"):
            settle_memory()
            turns = Turns()
            watching = asyncio.create_task(turns.watch())
            curl = await asyncio.create_subprocess_exec(
                "curl", "-sS", "--fail", "-o", str(tmp_path / "list.json"), server.url + path
            )
            assert await curl.wait() == 0
            watching.cancel()
            print(f"{path}: longest turn {turns.longest * 1e3:.1f} ms of {turns.count}, {ALERTS} alerts")
            assert turns.longest < TURN_SECONDS_MAX, path
            _check(path, json.loads((tmp_path / "list.json").read_bytes()))


def _check(path: str, listed: Any) -> None:
    """All of them are there, in order."""
    if path == "/api/v2/alerts":
        prints = [one["fingerprint"] for one in listed]
        assert len(set(prints)) == ALERTS
        assert prints == sorted(prints)
    elif path == "/api/v2/alerts/groups":
        members = [[one["fingerprint"] for one in group["alerts"]] for group in listed]
        assert sum(map(len, members)) == ALERTS
        assert all(one == sorted(one) for one in members)
        labels = [sorted(group["labels"].items()) for group in listed]
        assert labels == sorted(labels)


@asynccontextmanager
async def _answering(long: LongAnswers, size: int) -> AsyncIterator[int]:
    """A server whose every answer is so many items; its port."""

    async def items() -> list[bytes]:
        return list(with_commas([b'"%d"' % n + b" " * 1000 for n in range(size)]))

    async def handler(request: web.Request) -> web.StreamResponse:
        return await long.array(request, items)

    app = web.Application()
    app.router.add_route("*", "/", handler)
    running = web.AppRunner(app)
    await running.setup()
    site = web.TCPSite(running, "127.0.0.1", 0)
    await site.start()
    try:
        yield running.addresses[0][1]
    finally:
        await running.cleanup()


async def _until_free(long: LongAnswers) -> None:
    async with asyncio.timeout(30):
        while long.under_way:  # noqa: ASYNC110 - whoever holds a place does not say when it is free
            await asyncio.sleep(0)


def _read_all(sock: socket.socket) -> bytes:
    """Its end: the last chunk of a whole answer is empty."""
    end = b""
    while part := sock.recv(1 << 20):
        end = (end + part)[-8:]
    return end


async def test_who_does_not_read_is_cut_off() -> None:
    """Its place is free then, and what it read is no whole answer."""
    long = LongAnswers(write_seconds=0.3)
    async with _answering(long, 50_000) as port:
        deaf = [socket.create_connection(("127.0.0.1", port)) for _ in range(AT_ONCE)]
        for one in deaf:
            one.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 200 OK")
        await _until_free(long)
        for one in deaf:
            one.settimeout(60)
            assert not (await asyncio.to_thread(_read_all, one)).endswith(b"0\r\n\r\n")
            one.close()
        writer.close()


async def test_too_many_at_once_are_told_to_come_again() -> None:
    long = LongAnswers(wait_seconds=0.05)
    started = asyncio.Event()

    async def never() -> list[bytes]:
        started.set()
        await asyncio.Event().wait()
        return []

    request = web.Request.__new__(web.Request)
    waiting = [asyncio.create_task(long.array(request, never)) for _ in range(AT_ONCE)]
    await started.wait()
    with pytest.raises(Exception, match="lists are under way already") as refused:
        await long.array(request, never)
    assert refused.value.headers == {"Retry-After": "5"}  # type: ignore[attr-defined]
    for one in waiting:
        one.cancel()


def test_runs_are_in_order_of_keys_then_of_coming() -> None:
    runs: Runs[int] = Runs()
    for number in range(3000):
        runs.add(f"{number * 7919 % 100:03}", number)
    expected = sorted(range(3000), key=lambda number: (number * 7919 % 100, number))
    assert list(runs) == list(runs) == expected
    assert list(runs.drain()) == expected
    assert list(runs.drain()) == []
