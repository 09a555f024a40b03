"""Looking after a database from outside the daemon: a whole copy of it, and a proof that every record can be read.

Both read alone, in one transaction that sees one state; the daemon may be running. For a damaged one there is
`sqlite_salvage`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import msgspec

from imd.store import audit, sqlite_file
from imd.store.contract import StoreRefused
from imd.store.record import (
    BadRecord,
    unpack_alert,
    unpack_beat,
    unpack_delivery,
    unpack_digests,
    unpack_entry,
    unpack_incident,
    unpack_override,
    unpack_presence,
    unpack_seen,
    unpack_silence,
    unpack_words,
)
from imd.store.sqlite_file import rows

PROGRESS_STEPS = 20_000  # of SQLite's virtual machine between two calls of `progress`
FAULTS_MAX = 100

# Table, columns that name a row, and what reads its record. The journal's lines are JSON, the rest are plain columns.
RECORDS: dict[str, tuple[str, Callable[[bytes], object]]] = {
    "alert": ("id", unpack_alert),
    "alert_seen": ("id", unpack_seen),
    "alert_words": ("id", unpack_words),
    "incident": ("id", unpack_incident),
    "timeline": ("incident || ' line ' || seq", unpack_entry),
    "timeline_tail": ("incident || ' line ' || seq", unpack_entry),
    "delivery": ("id", unpack_delivery),
    "silence": ("id", unpack_silence),
    "schedule_override": ("id", unpack_override),
    "digests": ("receiver", unpack_digests),
    "heartbeat": ("name || ' ' || by", unpack_beat),
    "presence": ("id", unpack_presence),
}
_ORPHANS = {
    "alerts of no incident": "SELECT id FROM alert WHERE incident <> '' AND incident NOT IN (SELECT id FROM incident)",
    "timeline lines of no incident": (
        "SELECT incident || ' line ' || seq FROM (SELECT incident, seq FROM timeline UNION ALL "
        "SELECT incident, seq FROM timeline_tail) WHERE incident NOT IN (SELECT id FROM incident)"
    ),
    "deliveries of no incident": (
        "SELECT id FROM delivery WHERE incident <> '' AND incident NOT IN (SELECT id FROM incident)"
    ),
}


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What a look at every page and record found. `rows` by table; `faults` in words, at most FAULTS_MAX. `seal` is the
    audit log's newest, in hex: one noted down earlier must still be the seal of its line."""

    path: str
    bytes: int
    schema: int
    rows: dict[str, int]
    faults: list[str]
    seal: str


def back_up(path: Path, to: Path, progress: Callable[[], None] | None = None) -> int:
    """Writes a whole, compact copy of the database at `path` to `to`, which must not exist; answers with its size.

    The copy is of one instant and holds every commit until then. It appears under its name only once it is complete,
    checked and on disk. Raises StoreRefused.
    """
    if to.exists():
        raise StoreRefused(f"{to}: exists already; name a new file, or remove it first")
    if not to.parent.is_dir():
        raise StoreRefused(f"{to.parent}: no such folder")
    unfinished = sqlite_file.beside(to, ".part")
    unfinished.unlink(missing_ok=True)
    try:
        sqlite_file.make(unfinished)
        with _reading(path, progress) as connection:
            connection.execute("VACUUM INTO ?", (str(unfinished),))
        sqlite_file.close_copy(unfinished)
        with _reading(unfinished, progress) as copy:
            found = [row[0] for row in rows(copy, "PRAGMA quick_check(5)")]
        if found != ["ok"]:
            raise StoreRefused(f"{unfinished}: the copy is not sound: {'; '.join(found)}")
        _sync(unfinished)
        unfinished.rename(to)
        sqlite_file.sync_folder(to.parent)
    except apsw.Error as error:
        raise StoreRefused(f"{path}: cannot be copied to {to}: {error}") from None
    except OSError as error:
        raise StoreRefused(f"{to}: cannot be written: {error.strerror}") from None
    finally:
        for suffix in ("", "-wal", "-shm"):
            sqlite_file.beside(unfinished, suffix).unlink(missing_ok=True)
    return to.stat().st_size


def verify(path: Path, progress: Callable[[], None] | None = None) -> Verified:
    """Reads every page and every record. Raises StoreRefused where it is no database of imd at all."""
    if not path.exists():
        raise StoreRefused(f"{path}: no such file")
    sqlite_file.check_before_opening(path)
    logged = sqlite_file.has_log(path)
    try:
        with _reading(path, progress) as connection:
            connection.execute("BEGIN")
            found = [str(row[0]) for row in rows(connection, f"PRAGMA integrity_check({FAULTS_MAX})")]
            faults = [] if found == ["ok"] else found
            if not logged and sqlite_file.in_use(connection) and not sqlite_file.has_log(path):
                faults.append(f"it was not closed, and its log {path.name}-wal is gone: the newest commits may be lost")
            schema = rows(connection, "SELECT coalesce(max(number), 0) FROM schema_version")[0][0]
            newest = rows(connection, "SELECT seal FROM audit ORDER BY seq DESC LIMIT 1")
            counts: dict[str, int] = {}
            for fault in _look(connection, counts):
                if len(faults) < FAULTS_MAX:
                    faults.append(fault)
    except apsw.Error as error:
        raise StoreRefused(f"{path}: is damaged: {error}; `imd db recover` saves what can be read") from None
    seal = newest[0][0].hex() if newest else ""
    return Verified(path=str(path), bytes=path.stat().st_size, schema=schema, rows=counts, faults=faults, seal=seal)


def _look(connection: apsw.Connection, counts: dict[str, int]) -> Iterator[str]:
    for table, (name, read) in RECORDS.items():
        counts[table] = 0
        for key, record in connection.execute(f"SELECT {name}, record FROM {table}"):  # noqa: S608
            counts[table] += 1
            try:
                read(record)
            except BadRecord as error:
                yield f"{table} {key}: {error}"
    counts["journal"] = 0
    for seq, line in connection.execute("SELECT seq, line FROM journal"):
        counts["journal"] += 1
        try:
            msgspec.json.decode(line, type=dict)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            yield f"journal {seq}: {error}"
    counts["audit"] = rows(connection, "SELECT count(*) FROM audit")[0][0]
    yield from _look_at_audit(connection)
    counts["rejected"] = rows(connection, "SELECT count(*) FROM rejected")[0][0]
    for what, query in _ORPHANS.items():
        found = rows(connection, query)
        if found:
            yield f"{len(found)} {what}, the first is {found[0][0]}"


def _look_at_audit(connection: apsw.Connection) -> Iterator[str]:
    kept = rows(connection, "SELECT value FROM meta WHERE key = ?", (audit.ANCHOR,))
    anchor = kept[0][0] if kept else b""
    lines = connection.execute("SELECT seq, at, line, seal FROM audit ORDER BY seq")
    wrong = audit.broken(anchor, lines)
    if wrong is not None:
        yield f"audit {wrong}: does not follow from the lines before it: one was changed, taken out or put in"
        return
    newest = rows(connection, "SELECT value FROM meta WHERE key = ?", (audit.NEWEST,))
    last = rows(connection, "SELECT seq, seal FROM audit ORDER BY seq DESC LIMIT 1") or [(0, anchor)]
    if newest and last[0][1] != newest[0][0]:
        yield f"audit {last[0][0]}: it is the last one, and was not: what came after it was taken out"


class _reading:  # noqa: N801
    """A read-only connection that says every so often that it is at work."""

    def __init__(self, path: Path, progress: Callable[[], None] | None) -> None:
        self._path = path
        self._progress = progress

    def __enter__(self) -> apsw.Connection:
        self._connection = sqlite_file.connect(self._path, read_only=True)
        if self._progress is not None:
            said = self._progress

            def tell() -> bool:
                said()
                return False  # True would interrupt

            self._connection.set_progress_handler(tell, PROGRESS_STEPS)
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.close(True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
