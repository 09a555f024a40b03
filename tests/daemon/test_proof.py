"""Pings to the outside and canary pages: sent while imd works, withheld while it does not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from aiohttp import web

from imd.api import context
from imd.api.context import ReceiverStatus, StoreDown
from imd.channels.http import HttpClient
from imd.config.settings import Canary, Settings, Watchdog
from imd.daemon.proof import Prover
from imd.model.incident import IncidentState
from imd.model.secret import Secret
from tests.api.server import Server, serving


class World:
    """The service that misses pings, the receivers, and a store that may be down."""

    def __init__(self) -> None:
        self.pings = 0
        self.status = 200
        self.down = self.refuses = ""
        self.owed: list[ReceiverStatus] = []
        self.paged: list[str] = []

    async def pinged(self, _request: web.Request) -> web.Response:
        self.pings += 1
        return web.Response(status=self.status)

    async def page(self, receiver: str, _text: str, _by: str) -> str:
        self.paged.append(receiver)
        if self.refuses:
            raise context.TestPageFailed(self.refuses)
        return ""


@asynccontextmanager
async def proving(folder: Path) -> AsyncIterator[tuple[Server, World, Prover]]:
    world, app, http = World(), web.Application(), HttpClient()
    app.router.add_get("/ping/uuid", world.pinged)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/ping/uuid"
    settings = Settings(watchdog=Watchdog(url=Secret(url)), canary=Canary(receiver="sms"))
    try:
        async with serving(folder) as server:

            async def round_trip() -> None:
                if world.down:
                    raise StoreDown(world.down)
                await server.loop.round_trip()

            prover = Prover(
                lambda: settings,
                round_trip,
                lambda: world.owed,
                world.page,
                lambda alerts: server.loop.submit(alerts, 0),
                http,
                server.clock,
                server.metrics,
            )
            yield server, world, prover
    finally:
        await http.close()
        await runner.cleanup()


def owes(server: Server, name: str, minutes: int) -> ReceiverStatus:
    return ReceiverStatus(
        receiver=name,
        breaker="closed",
        failures=0,
        pending=1,
        sending=0,
        oldest_at=server.clock.now() - timedelta(minutes=minutes),
        retry_in_seconds=None,
        last_error="",
    )


async def later(server: Server, prover: Prover, minutes: float) -> None:
    server.clock.advance(timedelta(minutes=minutes))
    await prover.ping()
    await prover.sing()


async def test_pings_while_it_works(tmp_path: Path) -> None:
    """One each `every`; none while the store is down or nobody takes messages; one receiver down stops none."""
    async with proving(tmp_path) as (server, world, prover):
        await prover.ping()
        assert world.pings == 1
        await later(server, prover, 0.5)
        assert world.pings == 1
        await later(server, prover, 0.5)
        assert world.pings == 2
        world.down = "disk full"
        await later(server, prover, 1)
        assert world.pings == 2
        world.down, world.owed = "", [owes(server, "sms", 20), owes(server, "chat", 20)]
        await later(server, prover, 1)
        assert world.pings == 2
        world.owed = [owes(server, "sms", 20), owes(server, "chat", 1)]
        await later(server, prover, 1)
        assert world.pings == 3
        world.status = 500
        await later(server, prover, 1)
        text = server.metrics.render().decode()
        assert 'imd_watchdog_pings_total{outcome="failed"} 3.0' in text
        assert 'imd_watchdog_pings_total{outcome="sent"} 3.0' in text


async def test_a_canary_that_fails_is_an_incident(tmp_path: Path) -> None:
    """The first one a day after the start; refused, it opens an incident, which the next good one ends."""
    async with proving(tmp_path) as (server, world, prover):
        await later(server, prover, 60)
        assert world.paged == []
        world.refuses = "number unknown"
        await later(server, prover, 23 * 60)
        assert world.paged == ["sms"]
        assert server.loop.state is not None
        [incident] = server.loop.state.incidents.values()
        assert "ImdCanaryFailed" in incident.title
        assert "number unknown" in incident.title
        assert incident.state is IncidentState.PENDING
        [alert] = server.loop.state.alerts.values()
        assert alert.firing
        world.refuses = ""
        await later(server, prover, 24 * 60)
        assert world.paged == ["sms", "sms"]
        assert not alert.firing
