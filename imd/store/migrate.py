"""Opening a store: the one door. Locks, checks, migrates, and only then hands a store out.

Owns the numbered migrations (sql/sqlite/NNNN_name.sql) and the record of those applied. A migration is applied once, in
one transaction with its own record, and never edited afterwards: its checksum is on record too. Before the first of
them touches an existing database a copy is made beside it. A database that knows a migration that this imd does not is
refused: a downgrade would read new rows with old eyes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime
from importlib import resources
from pathlib import Path
from secrets import token_hex

import apsw
import msgspec

from imd.clock import Clock, SystemClock
from imd.model.secret import Secret
from imd.store import sqlite_file
from imd.store.contract import Retention, Store, StoreRefused
from imd.store.lock import Lock
from imd.store.record import micros
from imd.store.reserve import Reserve
from imd.store.sqlite import Names, SqliteStore
from imd.store.sqlite_file import rows

_SCHEME = "sqlite:///"
_FILE_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")


class Migration(msgspec.Struct, frozen=True):
    """One step of the schema. `checksum` is the SHA-256 of its text."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def open_store(
    url: str, clock: Clock | None = None, retention: Retention | None = None, vfs: str | None = None
) -> Store:
    """Open `sqlite:///relative` or `sqlite:////absolute`, making folder and database where there are none.

    Blocks: the check of a 1 GB database takes seconds. `vfs` names an SQLite VFS, for fault tests. Raises StoreRefused
    with a message for people; the store is then exactly as it was.
    """
    path = sqlite_path(url)
    clock = clock or SystemClock()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreRefused(f"{path.parent}: the folder cannot be made: {error.strerror}") from None
    lock = Lock.take(path)
    try:
        reserve = Reserve(path)
        reserve.open()
        names = _prepare(path, clock.now())
        return SqliteStore(path, lock, names, clock, retention or Retention(), reserve, vfs)
    except BaseException:
        lock.release()
        raise


def upgrade(url: str, clock: Clock | None = None) -> list[str]:
    """Bring the schema up to date as a start would; the names of the migrations applied. Raises StoreRefused."""
    path = sqlite_path(url)
    if not path.exists():
        raise StoreRefused(f"{path}: no such file")
    lock = Lock.take(path)
    try:
        before = _numbers(path)
        _prepare(path, (clock or SystemClock()).now())
        return [f"{one.number:04d}_{one.name}" for one in known_migrations() if one.number not in before]
    finally:
        lock.release()


def _numbers(path: Path) -> set[int]:
    try:
        connection = sqlite_file.connect(path, read_only=True)
        try:
            return {number for (number,) in rows(connection, "SELECT number FROM schema_version")}
        finally:
            connection.close(True)
    except apsw.Error:
        return set()  # `_prepare` says what is wrong with it


def sqlite_path(url: str) -> Path:
    """The file that a `store:` names. Raises StoreRefused."""
    name = url.removeprefix(_SCHEME)
    if not url.startswith(_SCHEME) or not name or name.endswith("/") or name == ":memory:":
        raise StoreRefused(
            f'store: "{url}" is not understood; write sqlite:///var/imd.db (relative to the working directory) or '
            "sqlite:////var/lib/imd/imd.db (absolute)"
        )
    return Path(name)


def known_migrations() -> list[Migration]:
    """Those that this imd ships, in order."""
    found = [
        Migration(int(name[1]), name[2], file.read_text("utf-8"))
        for file in resources.files("imd.store").joinpath("sql", "sqlite").iterdir()
        if (name := _FILE_NAME.fullmatch(file.name))
    ]
    return sorted(found, key=lambda migration: migration.number)


def _prepare(path: Path, now: datetime) -> Names:
    """A checked database with the present schema at `path`; answers with what was made with it."""
    try:
        if not path.exists():
            sqlite_file.check_missing(path)
            create(path, now)
        sqlite_file.check_before_opening(path)
        sqlite_file.check_recovery(path)
        logged = sqlite_file.has_log(path)
        connection = sqlite_file.connect(path)
        try:
            sqlite_file.check_after_opening(connection, path)
            if sqlite_file.in_use(connection):
                sqlite_file.keep_log(connection)
                if not logged:
                    _note_lost_log(connection, now)
            migrate(connection, path, known_migrations(), now)
            return _names(connection)
        finally:
            connection.close(True)
    except (apsw.CorruptError, apsw.NotADBError, KeyError) as error:
        raise StoreRefused(f"{path}: is damaged: {error}; {sqlite_file.RESTORE}") from None
    except apsw.BusyError:
        raise StoreRefused(f"{path}: another process holds a lock on it (a backup, a shell?); end that first") from None
    except (apsw.CantOpenError, apsw.ReadOnlyError, apsw.PermissionsError) as error:
        raise StoreRefused(f"{path}: cannot be written ({error}); imd's user must own it and its folder") from None
    except (apsw.Error, OSError) as error:
        raise StoreRefused(f"{path}: cannot be opened: {error}") from None


def _note_lost_log(connection: apsw.Connection, now: datetime) -> None:
    """The start says so (`Snapshot.lost_log`), also if this one is killed first; a clock that was set back hides it
    not."""
    alive = rows(connection, "SELECT value FROM meta WHERE key = 'alive_at'")
    at = max(micros(now), alive[0][0] + 1 if alive else 0)
    keys = [(sqlite_file.LOST_AT, at), (sqlite_file.LOG_LOST_AT, at)]
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", keys)
    connection.execute("COMMIT")


def _names(connection: apsw.Connection) -> Names:
    """A database of before there were signed links gets its key here, and one that lost its key another."""
    select = "SELECT key, value FROM meta WHERE key IN ('store_id', 'link_key')"
    found = dict(rows(connection, select))
    if "link_key" not in found:
        connection.execute("INSERT INTO meta (key, value) VALUES ('link_key', ?)", (token_hex(32),))
        found = dict(rows(connection, select))
    return Names(str(found["store_id"]), Secret(str(found["link_key"])))


def create(path: Path, now: datetime) -> None:
    """Build the database under another name and move it into place: an empty file at `path` is then always a fault."""
    new = sqlite_file.beside(path, ".new")
    for suffix in ("", "-wal", "-shm", "-journal"):
        sqlite_file.beside(new, suffix).unlink(missing_ok=True)
    sqlite_file.make(new)
    connection = sqlite_file.connect(new)
    try:
        connection.execute(f"PRAGMA application_id = {sqlite_file.APPLICATION_ID}").fetchall()
        migrate(connection, new, known_migrations(), now)
        connection.execute("INSERT INTO meta (key, value) VALUES ('store_id', ?)", (token_hex(8),))
    finally:
        connection.close(True)
    new.rename(path)
    sqlite_file.sync_folder(path.parent)


def migrate(connection: apsw.Connection, path: Path, known: Sequence[Migration], now: datetime) -> list[int]:
    """Apply what is missing; answers with the numbers applied. Raises StoreRefused, apsw.Error (nothing was done by
    the migration that failed)."""
    applied = _applied(connection)
    _check_history(path, applied, known)
    missing = [migration for migration in known if migration.number not in applied]
    if applied and missing:
        _copy(connection, sqlite_file.beside(path, f".before-{missing[0].number:04d}"))
    for migration in missing:
        connection.execute("BEGIN EXCLUSIVE")
        try:
            connection.execute(migration.sql).fetchall()
            connection.execute(
                "INSERT INTO schema_version (number, name, checksum, applied_at) VALUES (?, ?, ?, ?)",
                (migration.number, migration.name, migration.checksum, micros(now)),
            )
            connection.execute("COMMIT")
        except apsw.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    return [migration.number for migration in missing]


def _applied(connection: apsw.Connection) -> dict[int, tuple[str, str]]:
    """Name and checksum by number."""
    connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_version (number INTEGER PRIMARY KEY, name TEXT NOT NULL, "
        "checksum TEXT NOT NULL, applied_at INTEGER NOT NULL) STRICT"
    )
    applied = rows(connection, "SELECT number, name, checksum FROM schema_version ORDER BY number")
    return {number: (name, checksum) for number, name, checksum in applied}


def _check_history(path: Path, applied: dict[int, tuple[str, str]], known: Sequence[Migration]) -> None:
    newest = max((migration.number for migration in known), default=0)
    by_number = {migration.number: migration for migration in known}
    for number, (name, checksum) in applied.items():
        migration = by_number.get(number)
        if migration is None:
            raise StoreRefused(
                f"{path}: was written by a newer imd (schema {number} {name}; this imd knows {newest}); start that "
                f"version, or restore the copy {path.name}.before-{newest + 1:04d} that it made when upgrading"
            )
        if migration.checksum != checksum:
            raise StoreRefused(
                f"{path}: schema {number} {name} is not what this imd ships under that number; it was made by a "
                "changed build: start that build, or restore a backup"
            )


def _copy(connection: apsw.Connection, to: Path) -> None:
    to.unlink(missing_ok=True)
    sqlite_file.make(to)
    connection.execute("VACUUM INTO ?", (str(to),))
    sqlite_file.close_copy(to)
