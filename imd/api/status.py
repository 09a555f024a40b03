"""How imd does: GET /v1/status.

Owns the shape. Everything is as of now and nothing is asked of the disk but how large the store is.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec
from aiohttp import web

from imd import __version__
from imd.api.answers import json
from imd.api.context import Context, ReceiverStatus, ReloadStatus
from imd.api.operations import described
from imd.model.incident import Incident, IncidentState
from imd.model.owed import pages_owed
from imd.model.policy import Ruleset
from imd.model.quiet import PAUSE
from imd.model.view import PagesOwed


class SourceStatus(msgspec.Struct, frozen=True):
    """`type` is null for one that is not configured. `silent`: not heard for longer than its `silent_after`."""

    name: str
    type: str | None
    last_heard_at: datetime | None
    silent: bool


class OpenWork(msgspec.Struct, frozen=True):
    """Open incidents. `unanswered` are those that are triggered; `oldest_unanswered_at`: when the first of them was."""

    incidents: int
    by_state: dict[str, int]
    by_priority: dict[str, int]
    unanswered: int
    oldest_unanswered_at: datetime | None


class OutboxStatus(msgspec.Struct, frozen=True):
    pending: int
    oldest_at: datetime | None


class StoreStatus(msgspec.Struct, frozen=True):
    """Sizes on disk, with and without the log of the newest commits."""

    bytes: int
    wal_bytes: int


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """`pages` that no receiver has taken; `outbox`: messages of all kinds that are being sent, without what is put off.
    `heartbeats_missing` are names, with the values of their `by` labels. `paused_until` null: not paused. `tee`: imd
    runs beside another pager, and pages nobody. `event_loop`: `uvloop`, where that is installed, or `asyncio`."""

    version: str
    event_loop: str
    started_at: datetime
    now: datetime
    ready: bool
    unready_because: str | None
    config_hash: str
    rules: int
    tee: bool
    last_reload: ReloadStatus | None
    counts: dict[str, int]
    open: OpenWork
    pages: PagesOwed
    outbox: OutboxStatus
    sources: list[SourceStatus]
    receivers: list[ReceiverStatus]
    heartbeats_missing: list[str]
    paused_until: datetime | None
    store: StoreStatus


class StatusOf:
    def __init__(self, context: Context) -> None:
        self._context = context

    @described("How imd does", {200: Status})
    async def show(self, _request: web.Request) -> web.Response:
        """Sources last heard, receivers, the outbox, open work, the last reload and its error."""
        context, now = self._context, self._context.clock.now()
        ruleset, unready, view, store = context.ruleset(), context.unready(), context.view, context.store
        receivers = list(context.receivers())
        pause = next((one for one in view.silences() if one.id == PAUSE and one.in_force(now)), None)
        status = Status(
            version=__version__,
            event_loop=event_loop(),
            started_at=context.started_at,
            now=now,
            ready=not unready,
            unready_because=unready or None,
            config_hash=ruleset.config_hash,
            rules=len(ruleset.rules),
            tee=ruleset.tee,
            last_reload=context.last_reload(),
            counts=dict(view.counts()),
            open=_open_work(view.open_incidents()),
            pages=pages_owed(view.owing(), ruleset.receivers, now),
            outbox=OutboxStatus(
                sum(one.pending + one.sending for one in receivers),
                min((one.oldest_at for one in receivers if one.oldest_at is not None), default=None),
            ),
            sources=_sources(ruleset, {**view.heard(), **context.heard}, now),
            receivers=receivers,
            heartbeats_missing=[_beat(beat.heartbeat, beat.by) for beat in view.beats() if beat.missing],
            paused_until=None if pause is None else pause.ends_at,
            store=StoreStatus(store.size_bytes, store.wal_bytes),
        )
        return json(status)


def event_loop() -> str:
    """The library that runs the loop."""
    return type(asyncio.get_running_loop()).__module__.partition(".")[0]


def _open_work(incidents: Iterable[Incident]) -> OpenWork:
    found = list(incidents)
    waiting = [one for one in found if one.state is IncidentState.TRIGGERED]
    return OpenWork(
        incidents=len(found),
        by_state=dict(sorted(Counter(one.state.value for one in found).items())),
        by_priority=dict(sorted(Counter(one.priority.value for one in found).items())),
        unanswered=len(waiting),
        oldest_unanswered_at=min((one.triggered_at for one in waiting if one.triggered_at is not None), default=None),
    )


def _sources(ruleset: Ruleset, heard: Mapping[str, datetime], now: datetime) -> list[SourceStatus]:
    """The configured ones in their order, then whoever else was heard. imd itself is none."""
    names = dict.fromkeys([*ruleset.sources, *sorted(heard)])
    found = []
    for name in names:
        source, at = ruleset.sources.get(name), heard.get(name)
        silent = source is not None and at is not None and now - at > source.silent_after
        found.append(SourceStatus(name, source.type if source is not None else None, at, silent))
    return found


def _beat(name: str, by: tuple[tuple[str, str], ...]) -> str:
    return name + (f" ({', '.join(value for _, value in by)})" if by else "")
