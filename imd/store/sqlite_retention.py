"""Deleting what is past its time, a slice of at most SLICE rows a transaction, so that batches pass in between.

An incident goes with its alerts, timeline, deliveries and conversations; these go first, so that a slice that was the
last before a stop leaves an incident with less history, never history without its incident. What the engine still holds
is never touched, however old.

What a message said is most of what it takes. Once it is settled nobody sends it again, so its body goes with the
journal; its headline, its reason and how it went stay as long as the incident.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from itertools import takewhile

import apsw
import msgspec

from imd.store.audit import ANCHOR
from imd.store.contract import Retention
from imd.store.record import BadRecord, micros, pack, unpack_delivery
from imd.store.sqlite_file import rows
from imd.store.sqlite_rows import KEEP_LAST_ALERT, KEEP_LAST_NUMBER

SLICE = 500

_OVERDUE_INCIDENT = "SELECT number, id FROM incident WHERE over_at < ? AND held = 0 ORDER BY over_at LIMIT 1"
_MEMBERS = "SELECT id FROM alert WHERE incident = ? AND incident <> '' AND held = 0 LIMIT ?"
_DELETE_TIMELINE = """
DELETE FROM timeline
WHERE incident = ?1 AND seq IN (SELECT seq FROM timeline WHERE incident = ?1 ORDER BY seq LIMIT ?2)"""
_DELETE_TAIL = """
DELETE FROM timeline_tail WHERE place IN (SELECT place FROM timeline_tail WHERE incident = ? ORDER BY place LIMIT ?)"""
_DELETE_DELIVERIES = """
DELETE FROM delivery WHERE seq IN (SELECT seq FROM delivery WHERE incident = ? AND state <> 'pending' LIMIT ?)"""
_DELETE_SILENCES = """
DELETE FROM silence WHERE id IN (SELECT id FROM silence WHERE ends_at < ? ORDER BY ends_at LIMIT ?)"""
_DELETE_OVERRIDES = """
DELETE FROM schedule_override
WHERE id IN (SELECT id FROM schedule_override WHERE ends_at < ? ORDER BY ends_at LIMIT ?)"""
_SHORTENED = "messages_shortened"
"""Key of the meta table: the `seq` up to which messages were looked at, so that none is looked at twice."""
_LONG_DELIVERIES = """
SELECT seq, record, state, settled_at FROM delivery WHERE seq > ? ORDER BY seq LIMIT ?"""
# Lines are in order of time but for steps of the clock; looking at the oldest few alone needs no index.
_DELETE_JOURNAL = """
DELETE FROM journal WHERE seq IN (SELECT seq FROM journal ORDER BY seq LIMIT ?) AND at < ?"""


def slices(retention: Retention, now: datetime) -> list[Callable[[apsw.Connection], int]]:
    """The kinds of work. Each call deletes at most SLICE rows in the open transaction and answers with how many; 0
    when there is none left of its kind. Raises apsw.Error."""
    closed_before = micros(now - retention.closed)
    journal_before = micros(now - retention.journal)
    ended_before = micros(now - retention.silences)
    return [
        lambda connection: _prune_incident(connection, closed_before),
        lambda connection: _delete(connection, _DELETE_JOURNAL, (SLICE, journal_before)),
        lambda connection: _shorten_deliveries(connection, journal_before),
        lambda connection: _prune_audit(connection, closed_before),
        lambda connection: _delete(connection, _DELETE_SILENCES, (ended_before, SLICE)),
        lambda connection: _delete(connection, _DELETE_OVERRIDES, (closed_before, SLICE)),
        lambda connection: _delete(
            connection,
            "DELETE FROM rejected WHERE seq IN (SELECT seq FROM rejected "
            "WHERE seq <= (SELECT max(seq) FROM rejected) - ? ORDER BY seq LIMIT ?)",
            (retention.rejected_max, SLICE),
        ),
    ]


def _prune_incident(connection: apsw.Connection, over_before: int) -> int:
    """One slice of the incident that ended first, or the incident itself once nothing else is left of it."""
    found = rows(connection, _OVERDUE_INCIDENT, (over_before,))
    if not found:
        return 0
    number, incident = found[0]
    count = _delete_members(connection, incident)
    count = count or _delete(connection, _DELETE_TIMELINE, (incident, SLICE))
    count = count or _delete(connection, _DELETE_TAIL, (incident, SLICE))
    count = count or _delete(connection, _DELETE_DELIVERIES, (incident, SLICE))
    count = count or _delete(connection, "DELETE FROM conversation WHERE incident = ?", (incident,))
    if not count:
        connection.execute(KEEP_LAST_NUMBER)
        count = _delete(connection, "DELETE FROM incident WHERE number = ?", (number,))
    return count


def _shorten_deliveries(connection: apsw.Connection, before: int) -> int:
    """The bodies of messages that were settled by then, oldest first. One that is still to be sent stops it, for as
    long as it is: it is soon sent, or too old to be."""
    known = rows(connection, "SELECT value FROM meta WHERE key = ?", (_SHORTENED,))
    after = int(known[0][0]) if known else 0
    if rows(connection, "SELECT coalesce(max(seq), 0) FROM delivery")[0][0] < after:
        after = 0  # the newest went with their incident, and their numbers are given again
    found = rows(connection, _LONG_DELIVERIES, (after, SLICE))
    over = list(takewhile(lambda row: row[2] != "pending" and row[3] is not None and row[3] < before, found))
    if over:
        short = [(record, seq) for seq, long, _, _ in over if (record := _without_body(long)) is not None]
        connection.executemany("UPDATE delivery SET record = ? WHERE seq = ?", short)
        connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (_SHORTENED, over[-1][0]))
    return len(over)


def _without_body(record: bytes) -> bytes | None:
    try:
        delivery = unpack_delivery(record)
    except BadRecord:
        return None  # left as it is for `imd db verify`
    return pack(msgspec.structs.replace(delivery, body=b"{}"))


def _prune_audit(connection: apsw.Connection, before: int) -> int:
    """The oldest lines; the seal of the last of them goes on to vouch for the rest."""
    oldest = rows(connection, "SELECT seq, at, seal FROM audit ORDER BY seq LIMIT ?", (SLICE,))
    gone = list(takewhile(lambda row: row[1] < before, oldest))
    if gone:
        connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (ANCHOR, gone[-1][2]))
        connection.execute("DELETE FROM audit WHERE seq <= ?", (gone[-1][0],))
    return len(gone)


def _delete_members(connection: apsw.Connection, incident: str) -> int:
    ids = rows(connection, _MEMBERS, (incident, SLICE // 3))  # three tables each
    if ids:
        connection.execute(KEEP_LAST_ALERT, (0,))
        for table in ("alert", "alert_seen", "alert_words"):
            connection.executemany(f"DELETE FROM {table} WHERE id = ?", ids)  # noqa: S608
    return len(ids)


def _delete(connection: apsw.Connection, sql: str, bound: tuple[int | str, ...]) -> int:
    connection.execute(sql, bound)
    return connection.changes()
