"""What the daemon needs of a store, named by those needs. Every back end keeps this contract (tests/store holds it).

Owns the words: Store, Batch (from `batch`), Snapshot, the rows that reads answer with, and the two ways to fail. Knows
no SQL and no files.

A failed commit fails its own batch and all queued behind it, for the engine stepped them on top of one another. From
then on the store refuses every commit until `probe` succeeded; the caller then rebuilds the engine from `load`. Whether
the failed batch is on disk is unknown until then: `load` decides.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from imd.model.alert import Alert
from imd.model.digest import Digests
from imd.model.effect import Delivery
from imd.model.heartbeat import Beat
from imd.model.incident import Incident, IncidentState, Priority, TimelineEntry
from imd.model.presence import Presence
from imd.model.quiet import Silence
from imd.model.rule import MATCH_ALL, Match
from imd.model.schedule import Override
from imd.model.secret import Secret
from imd.store.batch import Batch

__all__ = [
    "AuditRow",
    "Batch",
    "DeliveryRow",
    "DeliveryState",
    "IncidentQuery",
    "JournalRow",
    "Page",
    "PendingDelivery",
    "RejectedRow",
    "Retention",
    "Snapshot",
    "Store",
    "StoreFailed",
    "StoreRefused",
    "StoredConversation",
    "TooSlow",
]


class StoreFailed(Exception):
    """The disk or the database failed just now; nothing of the batch may be answered for. Try again after a probe."""


class TooSlow(StoreFailed):
    """A read passed its deadline and was given up; the store itself is well."""


class StoreRefused(Exception):
    """The store cannot be opened as it is. The text is for people: what was found and what to do about it."""


class DeliveryState(enum.StrEnum):
    """PENDING, or how it ended (`model.event.Outcome`, same words)."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


class PendingDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery not yet settled. `attempt` counts those made so far (0: none was recorded).

    `ambiguous`: an attempt so far may have arrived. `cancelled`: a CancelPages that named it was committed, so it must
    not be sent any more; it still waits for its DeliveryFinished.
    """

    delivery: Delivery
    attempt: int = 0
    next_attempt_at: datetime | None = None
    ambiguous: bool = False
    cancelled: bool = False


class StoredConversation(msgspec.Struct, frozen=True):
    """What a receiver's channel said last of an incident, opaque."""

    incident: str
    receiver: str
    conversation: bytes


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine held when the last batch was committed, coalesced fields up to 15 s older.

    `alerts`, by id: each that was saved and not forgotten, and every member of an incident in `incidents`. `incidents`,
    by number: each that was saved and not forgotten; `beats`, by name and values: likewise. `deliveries`, in order of
    creation: the unsettled ones. `conversations`: those of all these incidents. `silences` and `overrides` are those
    not pruned, ended ones too; `turns` and `digests` as in core.state. `alive_at` and `presence` are None in a fresh
    store. The two
    `last_` are the highest ever given, deleted rows included. `lost_at`: the database was recovered then, with or
    without losses, and imd has not been alive since; with `lost_log` it was found then without the log of its newest
    commits.
    """

    store_id: str
    alerts: list[Alert]
    incidents: list[Incident]
    deliveries: list[PendingDelivery]
    silences: list[Silence]
    alive_at: datetime | None
    last_alert_id: int
    last_number: int
    beats: list[Beat] = []
    presence: Presence | None = None
    overrides: list[Override] = []
    turns: dict[str, int] = {}
    digests: list[Digests] = []
    conversations: list[StoredConversation] = []
    lost_at: datetime | None = None
    lost_log: bool = False


class IncidentQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which incidents, newest first. None and "" ask for all. `match` sees the group key's values, overlaid by the
    incident's labels. `since` is the earliest opened_at. `cursor` is a `next_cursor` from before."""

    states: frozenset[IncidentState] | None = None
    priorities: frozenset[Priority] | None = None
    rule: str = ""
    match: Match = MATCH_ALL
    since: datetime | None = None
    limit: int = 100
    cursor: int | None = None


class Page(msgspec.Struct, frozen=True):
    """One page of incidents. It may be short while `next_cursor` is set: a call looks at a bounded number of rows."""

    items: list[Incident]
    next_cursor: int | None


class DeliveryRow(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery and how it fares. `seq` orders rows by creation and is the cursor."""

    seq: int
    delivery: Delivery
    state: DeliveryState
    attempts: int
    next_attempt_at: datetime | None
    ambiguous: bool
    cancelled: bool
    error: str
    settled_at: datetime | None


class RejectedRow(msgspec.Struct, frozen=True, kw_only=True):
    """Part `index` of a request that was refused. `excerpt` is the start of it, as text."""

    seq: int
    at: datetime
    source: str
    index: int
    error: str
    excerpt: str


class AuditRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the audit log, an event as EVENTS.jsonl has it, and its seal in hex (`store.audit`)."""

    seq: int
    at: datetime
    line: bytes
    seal: str


class JournalRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line of EVENTS.jsonl. `seq` orders lines as they happened."""

    seq: int
    at: datetime
    line: bytes


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """How long things are kept. Incidents and silences count from their end; rejected parts are bounded by number. The
    audit log and ended overrides are kept as long as incidents are."""

    journal: timedelta = timedelta(days=30)
    closed: timedelta = timedelta(days=400)
    silences: timedelta = timedelta(days=5)
    rejected_max: int = 10_000


class Store(Protocol):
    """One store, owned by one process. `commit` and the async reads are for the event loop; the rest blocks."""

    @property
    def store_id(self) -> str:
        """16 hex digits, random, made with the database. Prefix of every dedup_key."""
        ...

    @property
    def size_bytes(self) -> int:
        """Size on disk, with what `wal_bytes` measures."""
        ...

    @property
    def link_key(self) -> Secret:
        """64 hex digits, random, made with the database: signs the links in pages where config.yaml names no secret."""
        ...

    @property
    def wal_bytes(self) -> int:
        """Size of what is committed and not yet in the main file, for the metric."""
        ...

    def load(self) -> Snapshot:
        """Everything the engine needs. Blocks. Raises StoreFailed; StoreRefused where a record cannot be read."""
        ...

    def commit(self, batch: Batch, done: Callable[[BaseException | None], None]) -> None:
        """Queue the batch; it may share its transaction with others queued. `done(None)` follows the fsync, or
        `done(StoreFailed)`; it is called in the writer thread, in the order of commits, and must only hand over."""
        ...

    def probe(self) -> None:
        """Reopen if need be and make one durable write; afterwards commits are taken again. Blocks for as long as the
        disk does. Raises StoreFailed.

        After a failure only the one that commits may call it, and once all its batches were answered: what it commits
        next is taken to build on `load`. For a health check commit a batch with `alive`."""
        ...

    @property
    def short(self) -> bool:
        """The disk is full, and what is written now comes off a reserve of a few MiB: write no more than must be."""
        ...

    def lay_by(self) -> bool:
        """Whether there is room again; the reserve is then laid by anew. Blocks. To be asked while `short`."""
        ...

    def close(self) -> None:
        """Commit what is queued, then close and release the lock. Blocks."""
        ...

    async def incidents(self, query: IncidentQuery) -> Page:
        """Newest first. Raises StoreFailed, TooSlow; BadPattern from `query.match`."""
        ...

    async def incident(self, id_or_number: str) -> Incident | None: ...

    async def conversed(self, receiver: str, conversation: bytes) -> str | None:
        """The newest incident of which the receiver's channel said this very thing last."""
        ...

    async def alerts(self, incident: str, limit: int = 100, after: int = 0) -> list[Alert]:
        """Members in order of id, beginning behind id `after`."""
        ...

    async def timeline(self, incident: str) -> list[TimelineEntry]: ...

    async def deliveries(
        self,
        incident: str | None = None,
        state: DeliveryState | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> list[DeliveryRow]:
        """Newest first, beginning before seq `before`."""
        ...

    async def rejected(
        self, limit: int = 100, before: int | None = None, source: str = "", since: datetime | None = None
    ) -> list[RejectedRow]:
        """Newest first, beginning before seq `before`; where they are given, of one source and not from before
        `since`."""
        ...

    async def journal(self, since: datetime, limit: int = 1000, after: int = 0) -> list[JournalRow]:
        """Lines of `since` and later, in order, beginning behind seq `after`."""
        ...

    async def audit(self, limit: int = 100, before: int | None = None) -> list[AuditRow]:
        """Newest first, beginning before seq `before`."""
        ...

    async def prune(self, now: datetime) -> int:
        """Delete what is past its retention, in transactions of at most 500 rows between which batches pass. Answers
        with the number of rows. Raises StoreFailed."""
        ...
