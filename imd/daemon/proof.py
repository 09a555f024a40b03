"""Proof, to the outside, that imd works: pings of a URL that misses them (`watchdog:`), and canary pages (`canary:`).

Owns when both happen and what counts as working; a page and its channel are the daemon's, what a failed canary leads to
is the engine's, which is told by an alert of source `imd`. A ping leaves only after a round trip through loop and store
and while messages get through: not if every receiver that owes one has owed it for OVERDUE. One receiver's trouble is
its own and has metrics of its own; nobody reached at all is what the outside has to know.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta

import msgspec
import structlog

from imd.api.context import ReceiverStatus, StoreDown, TestPageFailed, Unavailable, UnknownReceiver
from imd.channels.http import Endpoint, HttpClient, Reply
from imd.clock import Clock
from imd.config.settings import Canary, Settings, Watchdog
from imd.core import times
from imd.model.alert import AlertReport, identify
from imd.model.event import AlertsReported
from imd.model.heartbeat import OWN_SOURCE
from imd.telemetry import Log, Metrics

OVERDUE = timedelta(minutes=15)
ROUND_TRIP_SECONDS = 10.0
TRIES, TRY_AGAIN = 3, timedelta(minutes=1)
"""A canary that may get through later is sent so often before it counts as lost: real pages are sent again too."""
_LOOK_EVERY_SECONDS = 1.0
CANARY_TEXT = "Canary: the way to this receiver works. Nothing is to be done."

_log = structlog.get_logger()


class Prover:
    """Pings and pages for as long as `run` runs. `page` sends a test page and raises what the daemon's does."""

    def __init__(
        self,
        settings: Callable[[], Settings],
        round_trip: Callable[[], Awaitable[object]],
        receivers: Callable[[], Iterable[ReceiverStatus]],
        page: Callable[[str, str, str], Awaitable[str]],
        report: Callable[[AlertsReported], Awaitable[object]],
        http: HttpClient,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._round_trip = round_trip
        self._receivers = receivers
        self._page = page
        self._report = report
        self._http = http
        self._clock = clock
        self._metrics = metrics
        self._pinged_at: datetime | None = None
        self._started_at = clock.now()
        self._paged_at: datetime | None = None
        self._tries = 0
        self._again_at: datetime | None = None
        self._failing: str | None = None  # one from before the start may still fire: the first good canary ends it

    async def run(self) -> None:
        """Until it is cancelled."""
        await asyncio.gather(self._again(self.ping), self._again(self.sing))

    async def _again(self, look: Callable[[], Awaitable[None]]) -> None:
        while True:
            await look()
            await asyncio.sleep(_LOOK_EVERY_SECONDS)

    async def ping(self) -> None:
        """Pings if it is time and imd works."""
        wanted, now = self._settings().watchdog, self._clock.now()
        if wanted is None or not _due(self._pinged_at, wanted.every, now):
            return
        self._pinged_at = now
        why = await self._broken(now) or await self._pinged(wanted, now)
        self._metrics.count("watchdog_pings_total", ("failed" if why else "sent",))
        if why:
            _log.warning(Log.WATCHDOG_SILENT.value, error=why)

    async def _broken(self, now: datetime) -> str:
        """Why imd cannot be said to work; "" where it does."""
        try:
            async with asyncio.timeout(ROUND_TRIP_SECONDS):
                await self._round_trip()
        except StoreDown as down:
            return str(down)
        except TimeoutError:
            return f"no round trip through loop and store within {ROUND_TRIP_SECONDS:g} s"
        owed = [one.oldest_at for one in self._receivers() if one.oldest_at is not None]
        if owed and all(now - at > OVERDUE for at in owed):
            return "no receiver takes its messages"
        return ""

    async def _pinged(self, wanted: Watchdog, now: datetime) -> str:
        endpoint = Endpoint(wanted.url.reveal())
        reply = await self._http.exchange(endpoint, b"", {}, now, "GET")
        if not isinstance(reply, Reply):
            return reply.error
        return "" if 200 <= reply.status < 300 else f"{endpoint.shown} answered {reply.status}"

    async def sing(self) -> None:
        """The canary page if it is time, again if it did not get through at once; one that does not get through at all
        is an alert, which the next good one ends."""
        wanted, now = self._settings().canary, self._clock.now()
        if wanted is None or not self._is_time(wanted, now):
            return
        self._paged_at = now
        why, passing = await self._paged(wanted)
        self._metrics.count("canary_pages_total", (wanted.receiver, "failed" if why else "accepted"))
        self._tries = self._tries + 1 if why and passing else 0
        self._again_at = now + TRY_AGAIN if 0 < self._tries < TRIES else None
        if self._again_at is not None:
            return
        self._tries = 0
        if why or self._failing != "":
            await self._tell(wanted, self._failing or wanted.receiver, why)
        self._failing = wanted.receiver if why else ""

    def _is_time(self, wanted: Canary, now: datetime) -> bool:
        """At a time of day: once in each window. Every so often: the first one so long after the start."""
        if self._again_at is not None:
            return now >= self._again_at
        if wanted.at is None:
            return _due(self._paged_at or self._started_at, wanted.every, now)
        window = times.upcoming(wanted.at, now)
        if window is None or now < window.begins_at:
            return False
        return self._paged_at is None or not window.begins_at <= self._paged_at <= now

    async def _paged(self, wanted: Canary) -> tuple[str, bool]:
        """Why it failed, "" where it did not, and whether that may pass."""
        try:
            await self._page(wanted.receiver, CANARY_TEXT, "imd")
        except UnknownReceiver:
            return "it is not in the configuration any more", False
        except TestPageFailed as failed:
            return str(failed), failed.passing
        return "", False

    async def _tell(self, wanted: Canary, receiver: str, why: str) -> None:
        if why:
            _log.error(Log.CANARY_FAILED.value, receiver=wanted.receiver, error=why)
        try:
            await self._report(canary_alert(wanted.receiver if why else receiver, why))
        except Unavailable as error:
            _log.error(Log.CANARY_FAILED.value, receiver=wanted.receiver, error=str(error))


def canary_alert(receiver: str, why: str) -> AlertsReported:
    """`why` "": it works again."""
    text = f"The canary page to {receiver} failed: {why}. Real pages to it fail too; see imd status."
    report = AlertReport(
        identify({"alertname": "ImdCanaryFailed", "severity": "critical", "receiver": receiver}),
        resolved=not why,
        starts_at=None,  # when that is said, whatever the clock was set to in between
        ends_at=None,
        annotations=msgspec.json.encode({"summary": text} if why else {}),
    )
    return AlertsReported(OWN_SOURCE, False, (report,))


def _due(last: datetime | None, every: timedelta, now: datetime) -> bool:
    """A clock that was set back makes it due."""
    return last is None or now < last or now >= last + every
