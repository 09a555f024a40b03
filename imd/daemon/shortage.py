"""The disk is full and the store lives on its reserve: what is taken then, who hears of it, and how it ends.

Senders get 503 and come again; what people and imd itself have to write down goes on, for it is little. imd's own alert
says so, once, and ends with the shortage. The reserve itself is the store's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from imd.api.context import StoreDown
from imd.core.state import State
from imd.daemon.ownalert import DISK_FULL, disk_full, disk_has_room
from imd.model.effect import Refused
from imd.model.event import AlertsReported, Event, SourceHeard
from imd.model.heartbeat import OWN_SOURCE
from imd.sources.contract import Rejection
from imd.store.contract import Store
from imd.telemetry import Log, Metrics

LOOK_EVERY_SECONDS = 1.0
REASON = "the disk is full: alerts are taken again once it has room"

Submit = Callable[[Event, int], Awaitable[tuple[Refused, ...]]]
_log = structlog.get_logger()


class Shortage:
    """`reason` is "" while there is room. For the event loop's thread alone."""

    def __init__(self, store: Store, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics
        self._awaited = False
        self.reason = ""

    def check(self, event: Event, rejected: Sequence[Rejection]) -> None:
        """While short: raises StoreDown for what senders would have stored."""
        own = isinstance(event, AlertsReported) and event.source == OWN_SOURCE
        if rejected or (isinstance(event, AlertsReported | SourceHeard) and not own):
            raise StoreDown(self.reason)

    def begin(self, state: State) -> list[Event]:
        """The engine was built on what the disk holds: what is to be said of the disk, if that is not said already."""
        self.reason = REASON if self._store.short else ""
        said = (known := state.alerts.get(DISK_FULL.key)) is not None and known.firing
        if self.reason:
            self._metrics.store_up.set(0)
            _log.error(Log.STORE_SHORT.value, reason=self.reason)
        if bool(self.reason) == said:
            return []
        return [disk_full() if self.reason else disk_has_room()]

    async def end(self, submit: Submit) -> None:
        """Returns once the disk has room, or somebody waits for that already."""
        if self._awaited or not self.reason:
            return
        self._awaited = True
        try:
            while self.reason:
                await asyncio.sleep(LOOK_EVERY_SECONDS)
                if await asyncio.to_thread(self._store.lay_by):
                    await self._ended(submit)
        finally:
            self._awaited = False

    async def _ended(self, submit: Submit) -> None:
        self.reason = ""
        try:
            await submit(disk_has_room(), 0)
        except StoreDown:
            return  # it failed otherwise meanwhile: said when the engine is built anew
        self._metrics.store_up.set(1)
        _log.info(Log.STORE_RECOVERED.value)
