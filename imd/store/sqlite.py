"""The embedded store: one SQLite file, one process.

Owns how the parts come together: the writer's thread (sqlite_writer), the reader's (sqlite_reader), retention, the
lock, and reading everything back at a start. Opening and migrating is `migrate.open_store`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import apsw
import msgspec

from imd.clock import Clock
from imd.model.alert import Alert
from imd.model.incident import Incident, TimelineEntry
from imd.model.secret import Secret
from imd.model.shared import Shared
from imd.store import sqlite_file, sqlite_reader, sqlite_retention
from imd.store.batch import Batch
from imd.store.contract import (
    AuditRow,
    DeliveryRow,
    DeliveryState,
    IncidentQuery,
    JournalRow,
    Page,
    PendingDelivery,
    RejectedRow,
    Retention,
    Snapshot,
    StoredConversation,
    StoreFailed,
    StoreRefused,
)
from imd.store.lock import Lock
from imd.store.record import (
    BadRecord,
    instant,
    instant_or_none,
    unpack_beat,
    unpack_delivery,
    unpack_digests,
    unpack_incident,
    unpack_override,
    unpack_presence,
    unpack_silence,
    whole_alert,
)
from imd.store.reserve import Reserve
from imd.store.sqlite_file import rows
from imd.store.sqlite_reader import Reader
from imd.store.sqlite_writer import Writer

T = TypeVar("T")

# Held alerts, and every member of a held incident even if the engine let go of the alert itself.
_ALERTS = """
SELECT alert.id, alert.record, alert_seen.record, alert_words.record FROM alert
LEFT JOIN alert_seen ON alert_seen.id = alert.id LEFT JOIN alert_words ON alert_words.id = alert.id
WHERE alert.id IN (
    SELECT id FROM alert WHERE held = 1
    UNION SELECT member.id FROM incident CROSS JOIN alert AS member
          ON member.incident = incident.id AND member.incident <> '' AND member.held = 0 WHERE incident.held = 1
) ORDER BY alert.id"""
_INCIDENTS = "SELECT number, record FROM incident WHERE held = 1 ORDER BY number"
_SILENCES = "SELECT id, record FROM silence ORDER BY id"
_PRESENCE = "SELECT id, record FROM presence"
_DIGESTS = "SELECT receiver, record FROM digests ORDER BY receiver"
_OVERRIDES = "SELECT id, record FROM schedule_override ORDER BY id"
_BEATS = "SELECT name, record FROM heartbeat ORDER BY name, by"
_PENDING = """
SELECT seq, record, attempts, next_attempt_at, ambiguous, cancelled FROM delivery
WHERE state = 'pending' ORDER BY seq"""
_CONVERSATIONS = """
SELECT incident, receiver, conversation FROM conversation WHERE incident IN (
    SELECT id FROM incident WHERE held = 1 UNION SELECT incident FROM delivery WHERE state = 'pending'
) ORDER BY incident, receiver"""


class Names(msgspec.Struct, frozen=True):
    """What is random and made with the database."""

    store_id: str
    link_key: Secret


class SqliteStore:
    """A `contract.Store` on the database at `path`, which was checked and migrated and whose lock is held."""

    _reserve: Reserve | None = None

    def __init__(
        self,
        path: Path,
        lock: Lock,
        names: Names,
        clock: Clock,
        retention: Retention,
        reserve: Reserve,
        vfs: str | None = None,
    ) -> None:
        self.path = path
        self._lock = lock
        self._store_id, self._link_key = names.store_id, names.link_key
        self._retention = retention
        self._reader = Reader(lambda: sqlite_file.connect(path, read_only=True), clock)
        self._reserve = reserve
        self._writer = Writer(
            lambda: sqlite_file.connect(path, vfs=vfs), self._measure, retention.rejected_max, reserve.give_up
        )
        for check, what in ((self._writer.probe, "written"), (self._reader.open, "read")):
            try:
                check()
            except StoreFailed as error:
                self._shut()
                raise StoreRefused(f"{path}: cannot be {what}: {error}; free space or mend the disk first") from None

    @property
    def store_id(self) -> str:
        return self._store_id

    @property
    def size_bytes(self) -> int:
        try:
            return self.path.stat().st_size + self._measure()
        except OSError:
            return self._measure()

    @property
    def link_key(self) -> Secret:
        return self._link_key

    @property
    def wal_bytes(self) -> int:
        return self._measure()

    def commit(self, batch: Batch, done: Callable[[BaseException | None], None]) -> None:
        self._writer.commit(batch, done)

    def probe(self) -> None:
        self._writer.probe()

    @property
    def short(self) -> bool:
        return self._reserve is not None and self._reserve.short

    def lay_by(self) -> bool:
        return self._reserve is None or self._reserve.lay_by()

    def close(self) -> None:
        self._shut()
        self._lock.release()

    def load(self) -> Snapshot:
        try:
            connection = sqlite_file.connect(self.path, read_only=True)
            try:
                connection.execute("BEGIN")  # one state for all that follows
                return _snapshot(connection, self._store_id, self.path)
            finally:
                connection.close(True)
        except apsw.CorruptError as error:
            raise StoreRefused(f"{self.path}: is damaged: {error}; {sqlite_file.RESTORE}") from None
        except apsw.Error as error:
            raise StoreFailed(f"cannot read: {error}") from error

    async def incidents(self, query: IncidentQuery) -> Page:
        return await self._reader.read(sqlite_reader.find_incidents(query))

    async def incident(self, id_or_number: str) -> Incident | None:
        return await self._reader.read(lambda connection: sqlite_reader.incident(connection, id_or_number))

    async def conversed(self, receiver: str, conversation: bytes) -> str | None:
        return await self._reader.read(lambda connection: sqlite_reader.conversed(connection, receiver, conversation))

    async def alerts(self, incident: str, limit: int = 100, after: int = 0) -> list[Alert]:
        return await self._reader.read(lambda connection: sqlite_reader.alerts(connection, incident, limit, after))

    async def timeline(self, incident: str) -> list[TimelineEntry]:
        return await self._reader.read(lambda connection: sqlite_reader.timeline(connection, incident))

    async def deliveries(
        self,
        incident: str | None = None,
        state: DeliveryState | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> list[DeliveryRow]:
        return await self._reader.read(
            lambda connection: sqlite_reader.deliveries(connection, incident, state, limit, before)
        )

    async def rejected(
        self, limit: int = 100, before: int | None = None, source: str = "", since: datetime | None = None
    ) -> list[RejectedRow]:
        return await self._reader.read(
            lambda connection: sqlite_reader.rejected(connection, limit, before, source, since)
        )

    async def journal(self, since: datetime, limit: int = 1000, after: int = 0) -> list[JournalRow]:
        return await self._reader.read(lambda connection: sqlite_reader.journal(connection, since, limit, after))

    async def audit(self, limit: int = 100, before: int | None = None) -> list[AuditRow]:
        return await self._reader.read(lambda connection: sqlite_reader.audit(connection, limit, before))

    async def prune(self, now: datetime) -> int:
        total = 0
        for work in sqlite_retention.slices(self._retention, now):
            while count := await asyncio.wrap_future(self._writer.transact(work)):
                total += count
        return total

    def _measure(self) -> int:
        try:
            return sqlite_file.beside(self.path, "-wal").stat().st_size
        except OSError:
            return 0

    def _shut(self) -> None:
        """The reader first: the last connection to close moves the log into the main file, and may write."""
        self._reader.close()
        self._writer.close()


def _snapshot(connection: apsw.Connection, store_id: str, path: Path) -> Snapshot:
    meta: dict[str, int] = dict(rows(connection, "SELECT key, value FROM meta WHERE typeof(value) = 'integer'"))
    highest = rows(
        connection,
        "SELECT (SELECT coalesce(max(id), 0) FROM alert), (SELECT coalesce(max(number), 0) FROM incident)",
    )[0]
    shared = Shared()
    return Snapshot(
        store_id=store_id,
        alerts=_records(connection, path, "alert", _ALERTS, lambda *columns: shared(whole_alert(*columns))),
        incidents=_records(connection, path, "incident", _INCIDENTS, unpack_incident),
        silences=_records(connection, path, "silence", _SILENCES, unpack_silence),
        deliveries=_records(connection, path, "delivery", _PENDING, _pending),
        alive_at=instant_or_none(meta.get("alive_at")),
        lost_at=instant_or_none(meta["lost_at"]) if meta.get("lost_at", 0) > meta.get("alive_at", 0) else None,
        lost_log="log_lost_at" in meta and meta["log_lost_at"] == meta.get("lost_at"),
        last_alert_id=max(highest[0], meta.get("last_alert_id", 0)),
        last_number=max(highest[1], meta.get("last_number", 0)),
        beats=_records(connection, path, "heartbeat", _BEATS, unpack_beat),
        presence=next(iter(_records(connection, path, "presence", _PRESENCE, unpack_presence)), None),
        overrides=_records(connection, path, "override", _OVERRIDES, unpack_override),
        turns=dict(connection.execute("SELECT step, next FROM turn")),
        digests=_records(connection, path, "digests", _DIGESTS, unpack_digests),
        conversations=[StoredConversation(*row) for row in connection.execute(_CONVERSATIONS)],
    )


def _pending(
    record: bytes, attempts: int, next_attempt_at: int | None, ambiguous: int, cancelled: int
) -> PendingDelivery:
    return PendingDelivery(
        delivery=unpack_delivery(record),
        attempt=attempts,
        next_attempt_at=None if next_attempt_at is None else instant(next_attempt_at),
        ambiguous=bool(ambiguous),
        cancelled=bool(cancelled),
    )


def _records(connection: apsw.Connection, path: Path, what: str, sql: str, read: Callable[..., T]) -> list[T]:
    """Each row's first column names it, the rest goes to `read`. Raises StoreRefused for one that cannot be read."""
    found = []
    for key, *columns in connection.execute(sql):
        try:
            found.append(read(*columns))
        except BadRecord as error:
            raise StoreRefused(
                f"{path}: the record of {what} {key} is damaged: {error}; {sqlite_file.RESTORE}"
            ) from None
    return found
