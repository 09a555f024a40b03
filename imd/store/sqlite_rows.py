"""A batch as SQL: which statement writes which rows. The order is the contract of `Batch`'s attributes."""

from __future__ import annotations

from bisect import bisect_right

import apsw

from imd.store.audit import ANCHOR, NEWEST, sealed
from imd.store.batch import AlertTuple, Batch
from imd.store.sqlite_many import Insert

_SAVE_ALERT = Insert(
    "INSERT INTO alert (id, held, state, incident, record)",
    "(?, 1, ?, ?, ?)",
    """ON CONFLICT (id) DO UPDATE
SET held = 1, state = excluded.state, incident = excluded.incident, record = excluded.record""",
)
_HIGHEST = """
SELECT max(coalesce((SELECT max(id) FROM alert), 0), coalesce((SELECT max(id) FROM alert_seen), 0),
           coalesce((SELECT max(id) FROM alert_words), 0))"""
_NEW_ALERT = Insert("INSERT INTO alert (id, held, state, incident, record)", "(?, 1, ?, ?, ?)")
_SAVE_SEEN = Insert(
    "INSERT INTO alert_seen (id, record)", "(?, ?)", "ON CONFLICT (id) DO UPDATE SET record = excluded.record"
)
_SAVE_WORDS = """
INSERT INTO alert_words (id, record) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET record = excluded.record"""
# Ids never come again, so the highest is kept before its row goes. max(id) is one step down the tree.
KEEP_LAST_ALERT = """
INSERT INTO meta (key, value) SELECT 'last_alert_id', max(?, coalesce(max(id), 0)) FROM alert WHERE true
ON CONFLICT (key) DO UPDATE SET value = max(value, excluded.value)"""
KEEP_LAST_NUMBER = """
INSERT INTO meta (key, value) SELECT 'last_number', coalesce(max(number), 0) FROM incident WHERE true
ON CONFLICT (key) DO UPDATE SET value = max(value, excluded.value)"""
_SAVE_INCIDENT = Insert(
    "INSERT INTO incident (number, id, held, state, priority, rule, opened_at, over_at, record)",
    "(?, ?, 1, ?, ?, ?, ?, ?, ?)",
    """ON CONFLICT (number) DO UPDATE
SET held = 1, state = excluded.state, priority = excluded.priority, over_at = excluded.over_at,
    record = excluded.record""",
)
_SAVE_SILENCE = """
INSERT INTO silence (id, ends_at, record) VALUES (?, ?, ?)
ON CONFLICT (id) DO UPDATE SET ends_at = excluded.ends_at, record = excluded.record"""
_SAVE_OVERRIDE = """
INSERT INTO schedule_override (id, ends_at, record) VALUES (?, ?, ?)
ON CONFLICT (id) DO UPDATE SET ends_at = excluded.ends_at, record = excluded.record"""
_SAVE_DIGESTS = (
    "INSERT INTO digests (receiver, record) VALUES (?, ?) ON CONFLICT (receiver) DO UPDATE SET record = excluded.record"
)
_SAVE_TURN = "INSERT INTO turn (step, next) VALUES (?, ?) ON CONFLICT (step) DO UPDATE SET next = excluded.next"
_APPEND_ENTRY = Insert("INSERT INTO timeline_tail (incident, seq, record)", "(?, ?, ?)")
_FILE_LINES = """
INSERT INTO timeline (incident, seq, record)
SELECT incident, seq, record FROM timeline_tail WHERE true ORDER BY incident, seq, place
ON CONFLICT (incident, seq) DO UPDATE SET record = excluded.record"""
_CANCEL = """
UPDATE delivery SET cancelled = 1
WHERE incident = ?1 AND state = 'pending' AND (?2 IS NULL OR receiver = ?2) AND kind = ?3"""
_DELIVER = Insert(
    "INSERT INTO delivery (id, incident, receiver, kind, created_at, cancelled, record)",
    "(?, ?, ?, ?, ?, ?, ?)",
    "ON CONFLICT (id) DO NOTHING",
)
_RETRY = """
UPDATE delivery SET attempts = ?, next_attempt_at = ?, error = ?, ambiguous = ambiguous OR ?
WHERE id = ? AND state = 'pending'"""
_SETTLE = """
UPDATE delivery SET state = ?, attempts = ?, error = ?, settled_at = ?, next_attempt_at = NULL WHERE id = ?"""
_CONVERSE = """
INSERT INTO conversation (incident, receiver, conversation) VALUES (?, ?, ?)
ON CONFLICT (incident, receiver) DO UPDATE SET conversation = excluded.conversation"""
_SAVE_BEAT = """
INSERT INTO heartbeat (name, by, record) VALUES (?, ?, ?)
ON CONFLICT (name, by) DO UPDATE SET record = excluded.record"""
_LAST_SEAL = """
SELECT coalesce(
    (SELECT value FROM meta WHERE key = ?),
    (SELECT seal FROM audit ORDER BY seq DESC LIMIT 1),
    (SELECT value FROM meta WHERE key = ?))"""
_APPEND_LINE = Insert("INSERT INTO journal (at, line)", "(?, ?)")
_REJECT = "INSERT INTO rejected (at, source, part, error, excerpt) VALUES (?, ?, ?, ?, ?)"
_TRIM_REJECTED = "DELETE FROM rejected WHERE seq <= (SELECT max(seq) FROM rejected) - ?"
_ALIVE = "INSERT INTO meta (key, value) VALUES ('alive_at', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"


def write(connection: apsw.Connection, batch: Batch, rejected_max: int) -> None:
    """Write the batch into the open transaction. Raises apsw.Error. By id, for neighbours share pages."""
    _write_alerts(connection, batch)
    many = connection.executemany
    if batch.incidents:
        _SAVE_INCIDENT.put(connection, batch.incidents.values())
    if batch.past:
        many("UPDATE incident SET held = 0 WHERE id = ?", [(each,) for each in sorted(batch.past)])
    _write_people(connection, batch)
    if batch.timeline:
        _APPEND_ENTRY.put(connection, batch.timeline)
    _write_deliveries(connection, batch)
    if batch.beats:
        many(_SAVE_BEAT, [row for row in batch.beats.values() if row is not None])
        gone = [key for key, row in batch.beats.items() if row is None]
        many("DELETE FROM heartbeat WHERE name = ? AND by = ?", gone)
    if batch.journal:
        _APPEND_LINE.put(connection, batch.journal)
    if batch.audit:
        _write_audit(connection, batch)
    if batch.rejections:
        many(_REJECT, batch.rejections)
        connection.execute(_TRIM_REJECTED, (rejected_max,))  # seq has no gaps but at the old end
    if batch.presence is not None:
        connection.execute("INSERT OR REPLACE INTO presence (id, record) VALUES (1, ?)", (batch.presence,))
    if batch.alive_at is not None:
        connection.execute(_ALIVE, (batch.alive_at,))


def file_lines(connection: apsw.Connection) -> None:
    """Puts the newest lines of all timelines where those of their incidents are: 2,000 take 6 ms. Raises apsw.Error."""
    connection.execute(_FILE_LINES)
    connection.execute("DELETE FROM timeline_tail")


def _write_people(connection: apsw.Connection, batch: Batch) -> None:
    """What people set, whose turn it is, and what waits for a digest."""
    many = connection.executemany
    if batch.silences:
        many(_SAVE_SILENCE, batch.silences.values())
    if batch.overrides:
        many(_SAVE_OVERRIDE, batch.overrides.values())
    if batch.turns:
        many(_SAVE_TURN, batch.turns.values())
    if batch.digests:
        many(_SAVE_DIGESTS, batch.digests.values())


def _write_audit(connection: apsw.Connection, batch: Batch) -> None:
    before = connection.execute(_LAST_SEAL, (NEWEST, ANCHOR)).fetchone()
    assert before is not None
    rows = list(sealed(before[0] or b"", batch.audit))
    connection.executemany("INSERT INTO audit (at, line, seal) VALUES (?, ?, ?)", rows)
    connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (NEWEST, rows[-1][2]))


def _write_alerts(connection: apsw.Connection, batch: Batch) -> None:
    many = connection.executemany
    if batch.alerts:
        rows = sorted(batch.alerts.values())
        new = _first_new(connection, rows)
        if new:
            ids = [row[:1] for row in rows[:new]]
            _SAVE_ALERT.put(connection, rows[:new])
            many("DELETE FROM alert_seen WHERE id = ?", ids)
            many("DELETE FROM alert_words WHERE id = ?", ids)
        if new < len(rows):
            _NEW_ALERT.put(connection, rows[new:])
    if batch.seen:
        _SAVE_SEEN.put(connection, sorted(batch.seen.values()))
        many(_SAVE_WORDS, sorted(batch.words.values()))
    if batch.dropped:
        ids = [(each,) for each in sorted(batch.dropped)]
        connection.execute(KEEP_LAST_ALERT, ids[-1])
        many("DELETE FROM alert WHERE id = ?", ids)
        many("DELETE FROM alert_seen WHERE id = ?", ids)
        many("DELETE FROM alert_words WHERE id = ?", ids)
    if batch.forgotten:
        many("UPDATE alert SET held = 0 WHERE id = ?", [(each,) for each in sorted(batch.forgotten)])


def _first_new(connection: apsw.Connection, rows: list[AlertTuple]) -> int:
    """From which of these rows on, by id, nothing of the alerts can be there: ids are counted, and never come again. A
    new alert's row then costs two thirds."""
    highest = connection.execute(_HIGHEST).fetchone()
    assert highest is not None
    return bisect_right(rows, highest[0], key=lambda row: row[0])


def _write_deliveries(connection: apsw.Connection, batch: Batch) -> None:
    """Cancellations first: within the batch they were settled already, so those on disk are all older."""
    many = connection.executemany
    if batch.cancelled:
        many(_CANCEL, batch.cancelled)
    if batch.outgoing:
        _DELIVER.put(connection, batch.outgoing.values())
    if batch.retries:
        many(_RETRY, batch.retries)
    if batch.settled:
        many(_SETTLE, batch.settled)
    if batch.conversations:
        many(_CONVERSE, batch.conversations.values())
