"""Clients that cost more than they bring, around a running daemon (rows 23 and 39 of docs/faults.md)."""

from __future__ import annotations

import asyncio
import resource
import socket
import sys

import pytest

from tests.faults.flood import Sent, send, serials
from tests.faults.pulse import Pulse
from tests.faults.trials import spread, trials
from tests.system.running import Daemon, Daemons, until
from tests.system.sink import Sink

EACH = "rules: [{name: each, match: 'alertname=\"Load\"', group_by: [serial], hold: 0s}]\n"
QUIET = "rules: [{name: load, match: 'alertname=\"Load\"', group_by: [], hold: 1h}]\n"
RECEIVER = "receivers: [{{name: sink, type: webhook, url: {url}}}]\n"
STRANGER = "127.0.0.2"  # an address of its own, on the same host

HEAD = b"POST /api/v2/alerts HTTP/1.1\r\nHost: imd\r\nContent-Type: application/json\r\n"
CREEPING = {"heads": (HEAD, b"X-Creep: y\r\n"), "bodies": (HEAD + b"Content-Length: 100000\r\n\r\n", b" ")}


class Creepers:
    """Sockets that begin a request and go on with a piece of it now and then; ended ones begin again."""

    def __init__(self, daemon: Daemon, count: int, first: bytes, piece: bytes, every_seconds: float) -> None:
        self._port = daemon.port
        self._count = count
        self._first, self._piece, self._every = first, piece, every_seconds
        self.cut_off = 0

    async def __aenter__(self) -> Creepers:
        self._tasks = [asyncio.create_task(self._creep()) for _ in range(self._count)]
        await asyncio.sleep(0.5)  # until most are connected; that is no condition of anything
        return self

    async def __aexit__(self, *_error: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _creep(self) -> None:
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port, local_addr=(STRANGER, 0))
            except OSError:
                await asyncio.sleep(0.2)
                continue
            try:
                await self._go_on(reader, writer)
            except OSError:
                pass
            finally:
                writer.close()
            self.cut_off += 1
            await asyncio.sleep(0.2)

    async def _go_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until the server ends it."""
        ended = asyncio.ensure_future(reader.read())
        try:
            writer.write(self._first)
            while not ended.done():
                writer.write(self._piece)
                await asyncio.wait([ended], timeout=self._every)
        finally:
            ended.cancel()


def _good(sent: Sent) -> None:
    assert sent.broken == 0
    assert set(sent.statuses) == {200}


@pytest.mark.parametrize("what", CREEPING)
async def test_five_hundred_that_creep(what: str, daemons: Daemons, figures: list[str]) -> None:
    """A byte now and then on five hundred sockets: they are cut off, and others are answered as if there were none."""
    daemon = daemons("limits: {body_read_timeout: 2s}\n", QUIET)
    daemon.start()
    first, piece = CREEPING[what]
    seconds = trials(quick=3, long=60)
    async with Creepers(daemon, 500, first, piece, every_seconds=0.7) as creepers:
        with Pulse(daemon.port) as pulse:
            sent = await send(daemon, 50, seconds, serials())
        connections = daemon.metric("imd_http_connections")
    figures.append(
        f"row 23, 500 creeping {what}: {creepers.cut_off} cut off; {len(sent.seconds)} good bodies, all 200, in "
        f"{spread(sent.seconds)}; {pulse}"
    )
    _good(sent)
    assert creepers.cut_off > 100
    assert connections < 600
    assert not pulse.wrong
    assert sorted(sent.seconds)[int(0.99 * len(sent.seconds))] < 1.0
    held = {alert["labels"]["serial"] for alert in daemon.items("/v1/alerts")}
    assert held == set(sent.acked)
    assert daemon.stop() == 0


async def test_two_hundred_sockets_with_sixty_four_descriptors(
    daemons: Daemons, sink: Sink, figures: list[str]
) -> None:
    """Those beyond the bound are closed; the database and the sends keep descriptors: all is stored, all is told."""
    daemon = daemons(RECEIVER.format(url=sink.url), EACH)
    daemon.program = ["prlimit", "--nofile=64", sys.executable, "-m", "imd"]
    daemon.start()
    first, piece = CREEPING["heads"]
    async with Creepers(daemon, 200, first, piece, every_seconds=5.0) as creepers:
        sent = await send(daemon, 10, trials(quick=3, long=60), serials())
    _good(sent)
    until("all is told", lambda: len(sink.of("page")) >= len(sent.acked) and not daemon.pending(), 30)
    told = {message.incident["group_key"]["serial"] for message in sink.of("page")}
    refused = daemon.metric("imd_http_connections_refused_total")
    figures.append(
        f"row 39, 64 descriptors, 200 sockets: {refused:.0f} refused, {creepers.cut_off} ended; {len(sent.acked)} "
        f"acked, L 0; {len(told)} pages, M 0; answers in {spread(sent.seconds)}"
    )
    assert told == set(sent.acked)
    assert refused > 100
    assert "Too many open files" not in daemon.log()
    assert daemon.stop() == 0


async def test_thousands_of_idle_connections_keep_nobody_out(daemons: Daemons, figures: list[str]) -> None:
    """More than there may be, of many addresses, none of which says a whole word: who has something to say gets in."""
    bound, count = trials(quick=400, long=4096), trials(quick=1000, long=5000)
    daemon = daemons(f"limits: {{connections_max: {bound}}}\n", QUIET)
    daemon.start()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 2 * count)), hard))
    idle = []
    try:
        for number in range(count):
            idle.append(
                socket.create_connection(("127.0.0.1", daemon.port), source_address=(f"127.0.0.{2 + number % 5}", 0))
            )
            if number % 2:
                idle[-1].send(HEAD)
        sent = await send(daemon, 50, trials(quick=3, long=60), serials())
        figures.append(
            f"row 23, {count} idle connections where {bound} may be: {len(sent.seconds)} good bodies, all 200, in "
            f"{spread(sent.seconds)}"
        )
    finally:
        for one in idle:
            one.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    _good(sent)
    assert daemon.metric("imd_http_connections_refused_total", reason="made_room") >= count - bound
    assert daemon.stop() == 0
