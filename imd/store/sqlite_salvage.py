"""A damaged database: a new one of every row that can still be read, or a fresh one in its place. Never in silence.

The damaged files are moved aside, never changed; the new database remembers when state was lost, and the daemon raises
an alert about it at its next start (`Snapshot.lost`). Needs the lock: the daemon must be stopped.

How rows are found: a table is read by its key from both ends; where a page in between cannot be read, the range is
halved until what is lost is single keys. Of rows whose key is text, what lies between two damaged pages is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import apsw
import msgspec

from imd.store import sqlite_file
from imd.store.contract import StoreRefused
from imd.store.lock import Lock
from imd.store.migrate import create, known_migrations
from imd.store.record import BadRecord, micros
from imd.store.sqlite_file import LOST_AT, rows
from imd.store.sqlite_upkeep import RECORDS

_PROBES_MAX = 50_000  # keys that cannot be read, one by one, before the rest of a range is given up
_RANGE = 10_000  # keys read at once

_Row = tuple[Any, ...]


class Saved(msgspec.Struct, kw_only=True):
    """What became of the tables: rows saved, and keys that are lost as far as they are known."""

    saved: dict[str, int] = {}
    lost: dict[str, int] = {}
    aside: list[str] = []
    new: str = ""


def recover(path: Path, now: datetime, said: Callable[[str], None]) -> Saved:
    """Puts a database of all that can be read in the place of the one at `path`; one whose putting in place was
    interrupted is put there now. Raises StoreRefused; nothing was moved then."""
    lock = Lock.take(path)
    try:
        new = sqlite_file.beside(path, sqlite_file.RECOVERED)
        if _complete(new):
            return _swap(path, new, now, Saved())
        return _recover(path, new, now, said)
    except apsw.Error as error:
        raise StoreRefused(
            f"{path}: cannot be read at all: {error}; `imd db recover --quarantine` moves it aside and starts empty"
        ) from None
    except OSError as error:
        raise StoreRefused(f"{path}: {error.strerror or error}") from None
    finally:
        lock.release()


def quarantine(path: Path, now: datetime) -> Saved:
    """Puts an empty database in the place of the one at `path`. Raises StoreRefused."""
    lock = Lock.take(path)
    try:
        new = sqlite_file.beside(path, sqlite_file.RECOVERED)
        new.unlink(missing_ok=True)
        create(new, now)
        _note_loss(new, now)
        return _swap(path, new, now, Saved())
    except (apsw.Error, OSError) as error:
        raise StoreRefused(f"{path}: cannot be moved aside: {error}") from None
    finally:
        lock.release()


def _complete(new: Path) -> bool:
    """Whether it holds all that it is to hold: the note of the loss is its last row."""
    if not new.exists():
        return False
    connection = sqlite_file.connect(new, read_only=True)
    try:
        return bool(rows(connection, "SELECT 1 FROM meta WHERE key = ?", (LOST_AT,)))
    except apsw.Error:
        return False
    finally:
        connection.close(True)


def _recover(path: Path, new_path: Path, now: datetime, said: Callable[[str], None]) -> Saved:
    if not path.exists():
        raise StoreRefused(f"{path}: no such file")
    found = Saved()
    old = sqlite_file.connect(path, read_only=True)
    try:
        _check_schema(path, old)
        for suffix in ("", "-wal", "-shm"):
            sqlite_file.beside(new_path, suffix).unlink(missing_ok=True)
        create(new_path, now)
        new = sqlite_file.connect(new_path)
        try:
            new.execute("BEGIN IMMEDIATE")
            for table in _tables(new):
                said(table)
                _copy_table(old, new, table, found)
            new.execute("COMMIT")
        finally:
            new.close(True)
    finally:
        old.close(True)
    _note_loss(new_path, now)
    return _swap(path, new_path, now, found)


def _check_schema(path: Path, old: apsw.Connection) -> None:
    try:
        number = rows(old, "SELECT max(number) FROM schema_version")[0][0] or 0
    except apsw.CorruptError:
        return  # taken for the present schema; a table that differs shows as lost
    newest = known_migrations()[-1].number
    if number != newest:
        raise StoreRefused(
            f"{path}: has schema {number}, this imd's is {newest}; recover it with the imd that wrote it"
        )


def _tables(new: apsw.Connection) -> list[str]:
    named = rows(new, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name")
    return [name for (name,) in named if name != "schema_version"]


def _copy_table(old: apsw.Connection, new: apsw.Connection, table: str, found: Saved) -> None:
    columns = [row[1] for row in rows(new, f"PRAGMA table_info({table})")]
    marks = ", ".join("?" * len(columns))
    insert = f"INSERT OR REPLACE INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608
    select = f"SELECT {', '.join(columns)} FROM {table}"  # noqa: S608
    record = columns.index("record") if table in RECORDS else None
    saved = lost = 0
    keys, numbered = _keys(new, table)
    for row in _by_number(old, select, table, keys) if numbered else _from_both_ends(old, select, keys):
        if row is None or (record is not None and not _readable(table, row[record])):
            lost += 1
            continue
        new.execute(insert, row)
        saved += 1
    found.saved[table] = saved
    if lost:
        found.lost[table] = lost


def _keys(new: apsw.Connection, table: str) -> tuple[str, bool]:
    """Its primary key's columns, the order it is stored in; and whether that is one number."""
    found = sorted((row[5], row[1], row[2]) for row in rows(new, f"PRAGMA table_info({table})") if row[5])
    return ", ".join(name for _, name, _ in found), [kind for _, _, kind in found] == ["INTEGER"]


def _readable(table: str, record: bytes) -> bool:
    try:
        RECORDS[table][1](record)
    except BadRecord:
        return False
    return True


def _by_number(old: apsw.Connection, select: str, table: str, key: str) -> Iterator[_Row | None]:
    """Rows in order of an integer key; None for each key known to be lost."""
    first, last = _end(old, table, key, "ASC"), _end(old, table, key, "DESC")
    if first is None and last is None:
        yield from _from_both_ends(old, select, key)
        return
    low = first if first is not None else 1
    high = last if last is not None else _guess(old, table, key, low)
    left = [_PROBES_MAX]
    yield from _range(old, select, key, low, high, left)


def _end(old: apsw.Connection, table: str, key: str, order: str) -> int | None:
    try:
        found = rows(old, f"SELECT {key} FROM {table} ORDER BY {key} {order} LIMIT 1")  # noqa: S608
    except apsw.Error:
        return None
    return int(found[0][0]) if found else None


def _guess(old: apsw.Connection, table: str, key: str, low: int) -> int:
    """A highest key where the table's end cannot be read: as far as reading upwards comes, and as much again."""
    high = low
    try:
        for (number,) in old.execute(f"SELECT {key} FROM {table} ORDER BY {key}"):  # noqa: S608
            high = number
    except apsw.Error:
        return high + 10_000
    return high


def _range(old: apsw.Connection, select: str, key: str, low: int, high: int, left: list[int]) -> Iterator[_Row | None]:
    pending = [(at, min(at + _RANGE - 1, high)) for at in range(low, high + 1, _RANGE)][::-1]
    while pending:
        low, high = pending.pop()
        try:
            yield from rows(old, f"{select} WHERE {key} BETWEEN ? AND ? ORDER BY {key}", (low, high))
        except apsw.Error:
            if low == high or left[0] <= 0:
                yield None
                continue
            left[0] -= 1
            middle = (low + high) // 2
            pending += [(middle + 1, high), (low, middle)]


def _from_both_ends(old: apsw.Connection, select: str, order: str) -> Iterator[_Row | None]:
    """Forwards until a page cannot be read, then backwards until one cannot."""
    seen: set[_Row] = set()
    broken = False
    for row in _until_broken(old, f"{select} ORDER BY {order}"):
        if row is None:
            broken = True
        else:
            seen.add(row)
            yield row
    if not broken:
        return
    yield None
    backwards = ", ".join(f"{one.strip()} DESC" for one in order.split(","))
    for row in _until_broken(old, f"{select} ORDER BY {backwards}"):
        if row is not None and row not in seen:
            yield row


def _until_broken(old: apsw.Connection, query: str) -> Iterator[_Row | None]:
    try:
        yield from _stream(old, query)
    except apsw.Error:
        yield None


def _stream(old: apsw.Connection, query: str) -> Iterable[_Row]:
    yield from old.execute(query)


def _note_loss(new: Path, now: datetime) -> None:
    connection = sqlite_file.connect(new)
    try:
        sqlite_file.mark_closed(connection)
        connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (LOST_AT, micros(now)))
    finally:
        connection.close(True)


def _swap(path: Path, new: Path, now: datetime, found: Saved) -> Saved:
    """While `new` stands beside it the database at `path` is refused at a start, so a crash in here loses nothing: the
    next `recover` goes on from where it was. A log left from the old database would be applied to the new one."""
    aside = _aside(path, now)
    if path.exists():
        aside.unlink(missing_ok=True)  # a link to this very file, from before
        aside.hardlink_to(path)
        found.aside.append(str(aside))
    for suffix in ("-wal", "-shm"):
        file = sqlite_file.beside(path, suffix)
        if file.exists():
            file.rename(sqlite_file.beside(aside, suffix))
    new.replace(path)
    sqlite_file.sync_folder(path.parent)
    found.new = str(path)
    return found


def _aside(path: Path, now: datetime) -> Path:
    """A name for the damaged database that no other file has."""
    first = path.with_name(f"{path.name}.damaged-{now:%Y%m%dT%H%M%SZ}")
    aside, number = first, 1
    while aside.exists() and not (path.exists() and aside.samefile(path)):
        number += 1
        aside = sqlite_file.beside(first, f".{number}")
    return aside
