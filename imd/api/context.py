"""What the API is given by whoever runs it: one door for events, the store's reads, and the state to show.

Owns the ways in which `submit` and `reload` may fail, since the API words them for clients. Knows no aiohttp.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import msgspec

from imd.api.changes import Stream
from imd.clock import Clock
from imd.config.settings import Settings
from imd.model.alert import Alert
from imd.model.effect import Refused
from imd.model.event import AlertsReported, Event
from imd.model.heartbeat import Beat
from imd.model.incident import Incident
from imd.model.policy import Ruleset
from imd.model.quiet import Silence
from imd.model.schedule import Override
from imd.replay.explain import Asked
from imd.replay.explained import Explained
from imd.sources.contract import Rejection
from imd.store.contract import Store
from imd.telemetry import Metrics


class Unavailable(Exception):
    """Nothing was taken; the client should come back after `retry_after_seconds`. Answered 503."""

    def __init__(self, reason: str, retry_after_seconds: int = 5) -> None:
        super().__init__(reason)
        self.retry_after_seconds = retry_after_seconds


class Overloaded(Unavailable):
    """The inbox is full."""


class MemoryShort(Overloaded):
    """Memory is: what is known already of the event was taken, what is new was not."""


class StoreDown(Unavailable):
    """The store does not take writes just now, or the event's own commit failed."""


class ReloadRefused(Exception):
    """The files have faults and nothing changed; the text lists the faults, a line or more each."""


class UnknownReceiver(Exception):
    """No receiver of that name is configured."""


class TestPageFailed(Exception):
    """The receiver did not take the test page; the text is its own words, without secrets. `passing`: it may later."""

    def __init__(self, error: str, passing: bool = False) -> None:
        super().__init__(error)
        self.passing = passing


class FetchFailed(Exception):
    """A URL was not fetched; the text is why."""


async def no_fetch(url: str) -> bytes:
    """Where nothing may be fetched."""
    raise FetchFailed("nothing is fetched here")


async def no_post(url: str, body: bytes) -> None:
    """Where nothing may be sent."""
    raise FetchFailed("nothing is sent here")


class ReceiverStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One receiver's way out. `breaker` is closed, open or half_open, after so many `failures` in a row;
    `last_error` is its own words, without secrets."""

    receiver: str
    breaker: str
    failures: int
    pending: int
    sending: int
    oldest_at: datetime | None
    retry_in_seconds: float | None
    last_error: str


class ReloadStatus(msgspec.Struct, frozen=True):
    """The last reload, or the start: when, and the faults if it was refused."""

    at: datetime
    error: str | None


class Submit(Protocol):
    """The one door into the engine. Returns once the event's effects are committed; the parts that the engine refused
    are named by their index in the event. Raises Overloaded, StoreDown. `rejected` are kept for people to see."""

    async def __call__(
        self, event: Event, size_bytes: int, rejected: Sequence[Rejection] = ()
    ) -> tuple[Refused, ...]: ...


Over = Callable[[Exception | None, Sequence[Refused]], None]
"""Told of an event's commit: why it failed, if so, and what the engine refused of it."""


def ask_submit(event: AlertsReported, size_bytes: int, over: Over) -> bool:
    """Where nothing is taken but by `submit`."""
    return False


class Explain(Protocol):
    """What would happen to an alert beside what fires now. Raises Unavailable."""

    async def __call__(self, asked: Asked, whole: bool) -> Explained: ...


class LiveView(Protocol):
    """What the engine holds right now. Records are the engine's own: read them before the next await."""

    def open_alerts(self) -> Iterable[Alert]:
        """Every alert that fires, in order of id."""
        ...

    def alert(self, key: bytes) -> Alert | None:
        """The newest episode of this identity, firing or not long over."""
        ...

    def open_incidents(self) -> Iterable[Incident]:
        """Every incident that is open, by number."""
        ...

    def owing(self) -> Iterable[Incident]:
        """Every incident with a page under way or put off, open or over."""
        ...

    def heard(self) -> Mapping[str, datetime]:
        """When each source was last heard, over restarts too."""
        ...

    def incident(self, id: str) -> Incident | None:  # noqa: A002 - its name in the record
        """One that the engine holds, open or not long over."""
        ...

    def reported(self, key: str) -> Incident | None:
        """The incident that this report of a person opened, if the engine holds it."""
        ...

    def silences(self) -> Iterable[Silence]:
        """All that are known, ended ones of the last days too, by id; the pause among them."""
        ...

    def suppressed(self, cause: str) -> int:
        """How many firing alerts this cause suppresses."""
        ...

    def overrides(self) -> Iterable[Override]:
        """What people set over schedules, ended ones too, by id."""
        ...

    def beats(self) -> Iterable[Beat]:
        """Every heartbeat's record, by name and `by` values."""
        ...

    def counts(self) -> Mapping[str, int]:
        """How many of what, by a name for people: alerts_open, incidents_open, outbox_pending…"""
        ...


@dataclass(kw_only=True)
class Context:
    """Everything that handlers may reach. `unready` answers with a reason, or "" when work is taken.

    `before_scrape` sets the gauges that nobody keeps up to date; it runs in the event loop. `heard` is written by
    ingest: when each source last sent something that was understood. `fetch` GETs a URL beyond this machine's own net
    and answers with its body, `post` POSTs JSON to one; both raise FetchFailed. `report` is `submit` for whoever does
    not wait: `over` is told of the commit; False where nothing was taken, and `submit` says why.
    """

    submit: Submit
    store: Store
    view: LiveView
    ruleset: Callable[[], Ruleset]
    settings: Callable[[], Settings]
    reload: Callable[[], Awaitable[None]]
    test_page: Callable[[str, str, str], Awaitable[str]]
    explain: Explain
    unready: Callable[[], str]
    metrics: Metrics
    clock: Clock
    started_at: datetime
    receivers: Callable[[], Sequence[ReceiverStatus]] = tuple
    report: Callable[[AlertsReported, int, Over], bool] = ask_submit
    fetch: Callable[[str], Awaitable[bytes]] = no_fetch
    post: Callable[[str, bytes], Awaitable[None]] = no_post
    last_reload: Callable[[], ReloadStatus | None] = lambda: None
    before_scrape: Callable[[], None] = lambda: None
    heard: dict[str, datetime] = field(default_factory=dict)
    stream: Stream = field(default_factory=Stream)
