"""The reader: one thread with a read-only connection, for what people and their tools ask.

Every read is short and fetched whole, for an open read holds back checkpoints; a deadline ends it (by SQLite's progress
handler). Reads see what is committed, never what the engine holds beyond that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TypeVar

import apsw

from imd.clock import Clock
from imd.model.alert import Alert
from imd.model.incident import Incident, TimelineEntry
from imd.model.rule import match_test
from imd.store.contract import (
    AuditRow,
    DeliveryRow,
    DeliveryState,
    IncidentQuery,
    JournalRow,
    Page,
    RejectedRow,
    StoreFailed,
    TooSlow,
)
from imd.store.record import (
    BadRecord,
    instant,
    instant_or_none,
    micros,
    unpack_delivery,
    unpack_entry,
    unpack_incident,
    whole_alert,
)
from imd.store.sqlite_file import rows

DEADLINE_SECONDS = 2.0
INCIDENTS_LOOKED_AT_MAX = 5_000
_INSTRUCTIONS_BETWEEN_CHECKS = 10_000  # some 0.2 ms
_SLICE = 200

T = TypeVar("T")
_Value = str | int


class Reader:
    """`connect` opens a read-only connection; it is opened by `open` and anew after each failure."""

    def __init__(self, connect: Callable[[], apsw.Connection], clock: Clock) -> None:
        self._connect = connect
        self._clock = clock
        self._connection: apsw.Connection | None = None
        self._deadline = 0.0
        self._closed = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="imd-store-reader")

    def open(self) -> None:
        """Blocks until a first read is through. From then on the log's index has a user beside the writer: it is not
        removed when a full disk makes the writer let go, which would leave no way to read. Raises StoreFailed."""
        self._thread.submit(self._read, lambda connection: rows(connection, "SELECT count(*) FROM meta")).result()

    def close(self) -> None:
        """Blocks until the read under way is over, its deadline at most."""
        if not self._closed:
            self._closed = True
            self._thread.submit(self._drop_connection)
            self._thread.shutdown(wait=True)

    async def read(self, query: Callable[[apsw.Connection], T]) -> T:
        """Run `query` in the reader's thread. Raises StoreFailed, TooSlow."""
        if self._closed:
            raise StoreFailed("the store is closed")
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._read, query)

    def _read(self, query: Callable[[apsw.Connection], T]) -> T:
        self._deadline = self._clock.monotonic() + DEADLINE_SECONDS
        try:
            if self._connection is None:
                self._connection = self._connect()
                self._connection.set_progress_handler(self._overdue, _INSTRUCTIONS_BETWEEN_CHECKS)
            return query(self._connection)
        except apsw.InterruptError:
            raise TooSlow(f"the read took longer than {DEADLINE_SECONDS:g} s; ask for less") from None
        except apsw.Error as error:
            self._drop_connection()
            raise StoreFailed(f"cannot read: {error}") from error
        except BadRecord as error:
            raise StoreFailed(f"a record is damaged: {error}; run a check of the database") from error

    def _overdue(self) -> bool:
        return self._clock.monotonic() > self._deadline

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close(True)


def find_incidents(query: IncidentQuery) -> Callable[[apsw.Connection], Page]:
    """Raises BadPattern at once, before any read."""
    test = match_test(query.match)

    def find(connection: apsw.Connection) -> Page:
        items: list[Incident] = []
        cursor, looked_at = query.cursor, 0
        while looked_at < INCIDENTS_LOOKED_AT_MAX:
            found = _incidents_before(connection, query, cursor)
            for number, record in found:
                cursor, looked_at = number, looked_at + 1
                incident = unpack_incident(record)
                if test({**dict(incident.group_key), **incident.labels}):
                    items.append(incident)
                    if len(items) == query.limit:
                        return Page(items, cursor)
            if len(found) < _SLICE:
                return Page(items, None)
        return Page(items, cursor)

    return find


def _incidents_before(connection: apsw.Connection, query: IncidentQuery, cursor: int | None) -> list[tuple[int, bytes]]:
    """The next slice by the columns alone. Conditions are fixed texts; what a caller says is only ever bound."""
    conditions: list[tuple[str, Iterable[_Value]]] = []
    if query.states is not None:
        conditions.append((f"state IN ({_marks(len(query.states))})", sorted(state.value for state in query.states)))
    if query.priorities is not None:
        ranks = sorted(priority.value for priority in query.priorities)
        conditions.append((f"priority IN ({_marks(len(ranks))})", ranks))
    if query.rule:
        conditions.append(("rule = ?", (query.rule,)))
    if query.since is not None:
        conditions.append(("opened_at >= ?", (micros(query.since),)))
    if cursor is not None:
        conditions.append(("number < ?", (cursor,)))
    where = " AND ".join(text for text, _ in conditions) or "true"
    values = [value for _, bound in conditions for value in bound]
    sql = f"SELECT number, record FROM incident WHERE {where} ORDER BY number DESC LIMIT {_SLICE}"  # noqa: S608
    return rows(connection, sql, values)


def _marks(count: int) -> str:
    return ", ".join("?" * count)


def incident(connection: apsw.Connection, id_or_number: str) -> Incident | None:
    found = rows(connection, "SELECT record FROM incident WHERE id = ?", (id_or_number,))
    if not found and id_or_number.isascii() and id_or_number.isdigit() and len(id_or_number) <= 18:
        found = rows(connection, "SELECT record FROM incident WHERE number = ?", (int(id_or_number),))
    return unpack_incident(found[0][0]) if found else None


def conversed(connection: apsw.Connection, receiver: str, conversation: bytes) -> str | None:
    found = rows(connection, _CONVERSED, (receiver, conversation))
    return str(found[0][0]) if found else None


_CONVERSED = "SELECT incident FROM conversation WHERE receiver = ? AND conversation = ? ORDER BY incident DESC LIMIT 1"

_ALERTS = """
SELECT alert.record, alert_seen.record, alert_words.record FROM alert
LEFT JOIN alert_seen ON alert_seen.id = alert.id LEFT JOIN alert_words ON alert_words.id = alert.id
WHERE alert.id IN (
    SELECT id FROM (
        SELECT id FROM alert WHERE held = 1 AND incident = ?1 AND incident <> '' AND id > ?2 ORDER BY id LIMIT ?3)
    UNION ALL SELECT id FROM (
        SELECT id FROM alert WHERE held = 0 AND incident = ?1 AND incident <> '' AND id > ?2 ORDER BY id LIMIT ?3)
) ORDER BY alert.id LIMIT ?3"""


def alerts(connection: apsw.Connection, incident_id: str, limit: int, after: int) -> list[Alert]:
    """Those that the engine holds are looked for in the index of all that it holds: 2 ms where these are 100,000."""
    return [whole_alert(*row) for row in rows(connection, _ALERTS, (incident_id, after, limit))]


_TIMELINE = """
SELECT seq, record FROM timeline WHERE incident = ?1
UNION ALL SELECT * FROM (SELECT seq, record FROM timeline_tail WHERE incident = ?1 ORDER BY place)"""


def timeline(connection: apsw.Connection, incident_id: str) -> list[TimelineEntry]:
    found = dict(rows(connection, _TIMELINE, (incident_id,)))  # the last word on each line
    return [unpack_entry(found[seq]) for seq in sorted(found)]


_DELIVERY = "seq, record, state, attempts, next_attempt_at, ambiguous, cancelled, error, settled_at"
_NO_CURSOR = (1 << 63) - 1


def deliveries(
    connection: apsw.Connection, incident_id: str | None, state: DeliveryState | None, limit: int, before: int | None
) -> list[DeliveryRow]:
    # The state stands in the text, for only so does SQLite use the index over those pending.
    by_state = "" if state is None else f"state = '{state.value}' AND "
    by_incident = "" if incident_id is None else "incident = ? AND "
    sql = f"SELECT {_DELIVERY} FROM delivery WHERE {by_incident}{by_state}seq < ? ORDER BY seq DESC LIMIT ?"  # noqa: S608
    bound: list[_Value] = [] if incident_id is None else [incident_id]
    bound += [_NO_CURSOR if before is None else before, limit]
    return [
        DeliveryRow(
            seq=seq,
            delivery=unpack_delivery(record),
            state=DeliveryState(reached),
            attempts=attempts,
            next_attempt_at=instant_or_none(next_attempt_at),
            ambiguous=bool(ambiguous),
            cancelled=bool(cancelled),
            error=error,
            settled_at=instant_or_none(settled_at),
        )
        for seq, record, reached, attempts, next_attempt_at, ambiguous, cancelled, error, settled_at in (
            rows(connection, sql, bound)
        )
    ]


_REJECTED = """
SELECT seq, at, source, part, error, excerpt FROM rejected
WHERE seq < ?1 AND (?2 = '' OR source = ?2) AND at >= ?3 ORDER BY seq DESC LIMIT ?4"""


def rejected(
    connection: apsw.Connection, limit: int, before: int | None, source: str, since: datetime | None
) -> list[RejectedRow]:
    after = 0 if since is None else micros(since)
    found = rows(connection, _REJECTED, (_NO_CURSOR if before is None else before, source, after, limit))
    return [
        RejectedRow(seq=seq, at=instant(at), source=source, index=part, error=error, excerpt=excerpt)
        for seq, at, source, part, error, excerpt in found
    ]


def journal(connection: apsw.Connection, since: datetime, limit: int, after: int) -> list[JournalRow]:
    sql = "SELECT seq, at, line FROM journal WHERE seq > ? AND at >= ? ORDER BY seq LIMIT ?"
    found = rows(connection, sql, (after, micros(since), limit))
    return [JournalRow(seq=seq, at=instant(at), line=line) for seq, at, line in found]


def audit(connection: apsw.Connection, limit: int, before: int | None) -> list[AuditRow]:
    sql = "SELECT seq, at, line, seal FROM audit WHERE seq < coalesce(?, seq + 1) ORDER BY seq DESC LIMIT ?"
    found = rows(connection, sql, (before, limit))
    return [AuditRow(seq=seq, at=instant(at), line=line, seal=seal.hex()) for seq, at, line, seal in found]
