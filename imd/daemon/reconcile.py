"""Reading an Alertmanager's own list of alerts, for resolves that it never sent (`reconcile:` of a source).

Alertmanager keeps what it has told in memory: after a crash it never announces what resolved meanwhile (prometheus/
alertmanager #2370). Its list of what fires says so all the same. Owns when it is asked and what its answer is worth;
that alerts end is the engine's, which is told by AlertsExpired, so a later report revives them.

An alert is over here when two readings in a row, `every` apart, lack it, and nobody spoke of it since before the
first. An Alertmanager that has not been up for UP_MIN says nothing: its senders have yet to tell it what fires. One
that cannot be asked, or answers with something else than a list, says nothing either.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Protocol

import msgspec
import structlog

from imd.api.context import Unavailable
from imd.channels.http import Endpoint, HttpBounds, HttpClient, Reply
from imd.clock import Clock
from imd.config.settings import Reconcile, Settings
from imd.model.alert import Alert, identify
from imd.model.event import AlertsExpired, Expired
from imd.sources.contract import NOT_JSON
from imd.telemetry import Log, Metrics

UP_MIN = timedelta(minutes=15)  # Prometheus says anew what fires each minute or so, other senders within five
NOT_LISTED = "no longer at its Alertmanager"
LIST = "/api/v2/alerts?active=true&silenced=true&inhibited=true&unprocessed=true"
ENDED_MAX = 500  # in one event
_BOUNDS = HttpBounds(total=60.0, reply=45.0, reply_bytes_max=64 * 1024 * 1024)
_LOOK_EVERY = timedelta(seconds=30)

_log = structlog.get_logger()


class Unusable(Exception):
    """This Alertmanager's answer says nothing; the text is why."""


class Live(Protocol):
    """What the engine holds."""

    def open_alerts(self) -> Iterable[Alert]: ...


class _Listed(msgspec.Struct, frozen=True):
    labels: dict[str, str]


class _Cluster(msgspec.Struct, frozen=True):
    status: str = "disabled"


class _Status(msgspec.Struct, frozen=True):
    uptime: datetime
    cluster: _Cluster = _Cluster()


_alerts = msgspec.json.Decoder(list[_Listed]).decode
_status = msgspec.json.Decoder(_Status).decode

Expire = Callable[[AlertsExpired], Awaitable[object]]


class Reconciler:
    """Asks each source's Alertmanager in turn, for as long as `run` runs."""

    def __init__(
        self,
        settings: Callable[[], Settings],
        live: Live,
        expire: Expire,
        clock: Clock,
        metrics: Metrics,
        up_min: timedelta = UP_MIN,
    ) -> None:
        self._settings = settings
        self._live = live
        self._expire = expire
        self._clock = clock
        self._metrics = metrics
        self._up_min = up_min
        self._http = HttpClient(_BOUNDS)
        self._asked_at: dict[str, datetime] = {}
        self._lacking: dict[str, dict[bytes, datetime]] = {}

    async def run(self) -> None:
        """Until it is cancelled."""
        try:
            while True:
                await self.look()
                await asyncio.sleep(_LOOK_EVERY.total_seconds())
        finally:
            await self.close()

    async def close(self) -> None:
        await self._http.close()

    async def look(self) -> None:
        """Asks those whose turn it is."""
        for name, entry in self._settings().sources.items():
            now, wanted = self._clock.now(), entry.reconcile
            asked_at = self._asked_at.get(name)
            if wanted is None or (asked_at is not None and now < asked_at + wanted.every):
                continue
            self._asked_at[name] = now
            try:
                await self._reconcile(name, wanted, entry.source.labels, now)
                outcome = "read"
            except (Unusable, Unavailable) as error:
                self._lacking.pop(name, None)
                outcome = "unusable"
                _log.warning(Log.RECONCILE_FAILED, source=name, error=str(error))
            self._metrics.count("source_reconciliations_total", (name, outcome))

    async def _reconcile(self, name: str, wanted: Reconcile, labels: Mapping[str, str], now: datetime) -> None:
        endpoint = Endpoint(wanted.url.reveal())
        await self._check_up(endpoint, now)
        body = await self._get(endpoint, LIST)
        try:
            there = {identify({**one.labels, **labels}).key for one in _alerts(body)}
        except NOT_JSON as error:
            raise Unusable(f"its list of alerts is none: {error}") from None
        before = self._lacking.get(name, {})
        lacking = {one.identity.key: one for one in self._live.open_alerts() if lacks(one, name, there)}
        ended = [one for key, one in lacking.items() if key in before and one.seen_at < before[key]]
        self._lacking[name] = dict.fromkeys(lacking, now)
        for start in range(0, len(ended), ENDED_MAX):
            part = ended[start : start + ENDED_MAX]
            await self._expire(AlertsExpired(tuple(Expired(one.identity, now, NOT_LISTED) for one in part)))
        if ended:
            _log.info(Log.RECONCILED, source=name, count=len(ended))

    async def _check_up(self, endpoint: Endpoint, now: datetime) -> None:
        try:
            status = _status(await self._get(endpoint, "/api/v2/status"))
            up_for = now - status.uptime
        except (*NOT_JSON, TypeError) as error:
            raise Unusable(f"its status is none: {error}") from None
        if up_for < self._up_min:
            raise Unusable(f"it has been up for {up_for.total_seconds():.0f} s only")
        if status.cluster.status not in ("ready", "disabled"):
            raise Unusable(f"its cluster is {status.cluster.status[:40]}")

    async def _get(self, endpoint: Endpoint, path: str) -> bytes:
        bare, _, query = path.partition("?")
        asked = dict(part.split("=") for part in query.split("&")) if query else None
        reply = await self._http.exchange(endpoint.at(bare, asked), b"", {}, self._clock.now(), "GET")
        if not isinstance(reply, Reply):
            raise Unusable(reply.error)
        if reply.status != 200:
            raise Unusable(f"{endpoint.shown} answered {reply.status}")
        return reply.body


def lacks(alert: Alert, source: str, there: set[bytes]) -> bool:
    """Whether it fires here by this source's webhook, and not there."""
    return alert.source == source and not alert.by_api and alert.identity.key not in there
