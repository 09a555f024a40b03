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
from imd.model.quiet import TimeInterval, Weekly
from imd.model.secret import Secret
from tests.api.server import Server, serving


class World:
    """The service that misses pings, the receivers, and a store that may be down."""

    def __init__(self) -> None:
        self.pings = 0
        self.status = 200
        self.down = self.refuses = ""
        self.passing = False
        self.owed: list[ReceiverStatus] = []
        self.paged: list[str] = []

    async def pinged(self, _request: web.Request) -> web.Response:
        self.pings += 1
        return web.Response(status=self.status)

    async def page(self, receiver: str, _text: str, _by: str) -> str:
        self.paged.append(receiver)
        if self.refuses:
            raise context.TestPageFailed(self.refuses, self.passing)
        return ""


@asynccontextmanager
async def proving(folder: Path, canary: Canary | None = None) -> AsyncIterator[tuple[Server, World, Prover]]:
    world, app, http = World(), web.Application(), HttpClient()
    app.router.add_get("/ping/uuid", world.pinged)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/ping/uuid"
    settings = Settings(watchdog=Watchdog(url=Secret(url)), canary=canary or Canary(receiver="sms"))
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


async def test_what_may_pass_is_tried_again_before_it_alarms(tmp_path: Path) -> None:
    """Three times, a minute apart: one hiccup wakes nobody, an outage does. What is refused for good is not."""
    async with proving(tmp_path, Canary(receiver="sms", every=timedelta(hours=1))) as (server, world, prover):
        world.refuses, world.passing = "503", True
        await later(server, prover, 60)
        await later(server, prover, 0.5)
        assert world.paged == ["sms"]
        await later(server, prover, 0.5)
        assert world.paged == ["sms", "sms"]
        world.refuses = ""
        await later(server, prover, 1)
        assert world.paged == ["sms"] * 3
        assert not server.loop.state.incidents
        world.refuses = "503"
        for minutes in (60, 1):
            await later(server, prover, minutes)
            assert not server.loop.state.incidents
        await later(server, prover, 1)
        assert len(server.loop.state.incidents) == 1
        assert len(world.paged) == 6
        await later(server, prover, 1)
        assert len(world.paged) == 6
        world.refuses = ""
        await later(server, prover, 60)
        assert not any(alert.firing for alert in server.loop.state.alerts.values())


def at_nine(*weekdays: int) -> Canary:
    """As `at: "09:00"` in Berlin is read."""
    window = Weekly(weekdays=weekdays, begins=timedelta(hours=9), ends=timedelta(hours=9, minutes=2))
    return Canary(receiver="sms", at=TimeInterval(weekly=(window,), timezone="Europe/Berlin"))


async def test_a_canary_at_a_time_of_day(tmp_path: Path) -> None:
    """Saturday noon UTC to Monday: nine in Berlin is eight in UTC, once a day, whenever imd was started."""
    async with proving(tmp_path, at_nine()) as (server, world, prover):
        for minute in range(1, 45 * 60):
            await later(server, prover, 1)
            expected = sum(minute >= day * 24 * 60 - 4 * 60 for day in (1, 2))
            assert len(world.paged) == expected, (minute, server.clock.now())


async def test_a_canary_on_working_days(tmp_path: Path) -> None:
    async with proving(tmp_path, at_nine(0, 1, 2, 3, 4)) as (server, world, prover):
        await later(server, prover, 20 * 60)  # Sunday, nine
        assert world.paged == []
        await later(server, prover, 24 * 60)
        assert world.paged == ["sms"]


async def test_one_that_was_due_during_a_restart_still_goes_out(tmp_path: Path) -> None:
    """A minute late is soon enough; an hour late it waits for tomorrow."""
    async with proving(tmp_path, at_nine()) as (server, world, prover):
        server.clock.advance(timedelta(hours=20, minutes=1))
        prover._started_at = server.clock.now()
        await prover.sing()
        assert world.paged == ["sms"]
    (tmp_path / "again").mkdir()
    async with proving(tmp_path / "again", at_nine()) as (server, world, prover):
        await later(server, prover, 21 * 60)
        assert world.paged == []
