"""The database file before SQLite trusts it: what is refused, with what words, and how a new one comes to be.

SQLite opens more than it should here. An empty file is a fresh database to it, a write-ahead log with a damaged head is
ignored, and with it everything committed since the last checkpoint. A pager that starts empty pages nobody, so each of
these is a refusal.

A log that is gone looks like none at all. So the main file itself says while a daemon has it open (`IN_USE`), from
before the first commit until after the last: found so without its log, it has gone back in time. Nothing is left there
to refuse for, so it is told (`Snapshot.lost_at`).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apsw

from imd.store.contract import StoreRefused

APPLICATION_ID = 0x696D6431  # "imd1"
BUSY_TIMEOUT_MS = 2_000
_CACHE_KIB = 4_096  # of each connection; four times as much saved the writer no time that could be measured
_MAGIC = b"SQLite format 3\0"
_HEADER_BYTES = 100  # https://www.sqlite.org/fileformat2.html section 1.3; read 2026-11
_WAL_HEADER = struct.Struct(">8I")  # the same page, section 4.1: magic, version, page size, sequence, 2 salts, 2 sums
_WAL_FRAME = struct.Struct(">6I")  # page, size of the database in pages or 0 (not a commit), 2 salts, 2 sums
_WAL_MAGICS = {0x377F0682: "<", 0x377F0683: ">"}

RESTORE = "restore a backup, or let `imd db recover` save what can be read (--quarantine: nothing, open alerts go)"
IN_USE, LOST_AT, LOG_LOST_AT = "in_use", "lost_at", "log_lost_at"  # keys in `meta`
RECOVERED = ".recovered"  # a database that a recovery builds, beside the damaged one


def connect(path: Path, *, read_only: bool = False, vfs: str | None = None) -> apsw.Connection:
    """A connection set up as the house wants it. Raises apsw.Error. The file must exist."""
    flags = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE
    connection = apsw.Connection(str(path), flags=flags, vfs=vfs)
    try:
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        settings = ["mmap_size = 0", "trusted_schema = OFF", f"cache_size = -{_CACHE_KIB}", "temp_store = MEMORY"]
        if not read_only:
            # Checkpoints are the writer's own decision (sqlite_writer); FULL syncs the log at each commit.
            settings += ["journal_mode = WAL", "synchronous = FULL", "wal_autocheckpoint = 0", "cell_size_check = ON"]
        for setting in settings:
            connection.execute(f"PRAGMA {setting}").fetchall()
    except apsw.Error:
        connection.close(True)
        raise
    return connection


def rows(
    connection: apsw.Connection, sql: str, bound: Sequence[int | str | bytes | None] = ()
) -> list[tuple[Any, ...]]:
    """Every row at once, for an open read holds back checkpoints. The columns are what the STRICT schema says; this is
    where it is taken at its word. Raises apsw.Error."""
    return connection.execute(sql, bound).fetchall()


def make(path: Path) -> None:
    """An empty file to become a database, for imd's user alone: the key that signs the links in pages is in it. What
    SQLite puts beside it gets the same mode. Raises OSError."""
    path.touch(mode=0o600, exist_ok=False)


def beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def check_before_opening(path: Path) -> None:
    """Refuse what SQLite would take for a fresh or a healthy database. Raises StoreRefused."""
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER_BYTES)
    except IsADirectoryError:
        raise StoreRefused(f"{path}: is a folder; `store:` must name a file") from None
    except OSError as error:
        raise StoreRefused(f"{path}: cannot be read: {error.strerror}; imd's user must own this file") from None
    if len(header) < _HEADER_BYTES:
        raise StoreRefused(f"{path}: is {len(header)} bytes long, which is no database (truncated?); {RESTORE}")
    if not header.startswith(_MAGIC):
        raise StoreRefused(f"{path}: is not an SQLite database, or its first page is damaged; {RESTORE}")
    if int.from_bytes(header[68:72], "big") != APPLICATION_ID:
        raise StoreRefused(f"{path}: is a database of another program; let `store:` name a file of its own")
    _check_wal_header(beside(path, "-wal"))


def has_log(path: Path) -> bool:
    """Whether there is a log with a frame in it: as long as the database is in use there is one. Raises OSError."""
    try:
        return beside(path, "-wal").stat().st_size > _WAL_HEADER.size + _WAL_FRAME.size
    except FileNotFoundError:
        return False


def in_use(connection: apsw.Connection) -> bool:
    """Whether it was not closed as it should. Raises apsw.Error."""
    return bool(rows(connection, "SELECT 1 FROM meta WHERE key = ?", (IN_USE,)))


def mark_in_use(connection: apsw.Connection) -> None:
    """Raises apsw.Error."""
    connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, 1)", (IN_USE,))


def mark_closed(connection: apsw.Connection) -> None:
    """Raises apsw.Error."""
    connection.execute("DELETE FROM meta WHERE key = ?", (IN_USE,))


def keep_log(connection: apsw.Connection) -> None:
    """At its closing the log stays, though it be the last connection: only who closes the database takes it away."""
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)


def close_copy(path: Path) -> None:
    """A copy was made of a database in use; it has no log of its own, nor lacks one. Raises apsw.Error."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        mark_closed(connection)
    finally:
        connection.close(True)


def check_recovery(path: Path) -> None:
    """A recovery that was killed may have moved the log aside already. Raises StoreRefused."""
    if beside(path, RECOVERED).exists():
        raise StoreRefused(f"{path}: a recovery of it was interrupted; run `imd db recover` again to end it")


def check_missing(path: Path) -> None:
    """The database does not exist: may a fresh one be made? Raises StoreRefused."""
    wal = beside(path, "-wal")
    if wal.exists() and wal.stat().st_size:
        raise StoreRefused(
            f"{path}: is missing, but its log {wal.name} is there; put the database back beside it, or move the log "
            "away to start empty (open alerts are lost)"
        )


def _check_wal_header(wal: Path) -> None:
    """SQLite ignores a log whose head it cannot verify. It is written and synced before the first frame, so a log that
    has frames and no valid head was damaged."""
    try:
        with wal.open("rb") as file:
            start = file.read(_WAL_HEADER.size)
            size = os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreRefused(f"{wal}: cannot be read: {error.strerror}; imd's user must own this file") from None
    if size > _WAL_HEADER.size + _WAL_FRAME.size and not _wal_header_valid(start):
        raise StoreRefused(f"{wal}: the log of the newest commits is damaged at its head; {RESTORE}")


def _wal_header_valid(start: bytes) -> bool:
    fields = _WAL_HEADER.unpack(start)
    order = _WAL_MAGICS.get(fields[0])
    if order is None:
        return False
    first = second = 0
    words = struct.unpack(order + "6I", start[:24])
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return (first, second) == fields[6:8]


def check_after_opening(connection: apsw.Connection, path: Path) -> None:
    """SQLite's own quick check, and that its recovery did not stop short. Raises StoreRefused, apsw.Error."""
    _check_wal_tail(connection, beside(path, "-wal"))
    found = [row[0] for row in rows(connection, "PRAGMA quick_check(5)")]
    if found != ["ok"]:
        raise StoreRefused(f"{path}: is damaged: {'; '.join(found)}; {RESTORE}")


def _check_wal_tail(connection: apsw.Connection, wal: Path) -> None:
    """Recovery ends at the first frame with a wrong sum and drops what follows. A crash can leave one torn commit, for
    the next begins only after the sync of the last; two or more behind the end of the valid part were durable."""
    frames = rows(connection, "PRAGMA wal_checkpoint(NOOP)")[0][1]
    try:
        with wal.open("rb") as file:
            start = file.read(_WAL_HEADER.size)
            if len(start) < _WAL_HEADER.size:
                return
            fields = _WAL_HEADER.unpack(start)
            commits = 0
            step = _WAL_FRAME.size + fields[2]
            for at in range(_WAL_HEADER.size + max(frames, 0) * step, os.fstat(file.fileno()).st_size - step + 1, step):
                file.seek(at)
                frame = _WAL_FRAME.unpack(file.read(_WAL_FRAME.size))
                commits += frame[1] != 0 and frame[2:4] == fields[4:6]
    except FileNotFoundError:
        return
    if commits > 1:
        raise StoreRefused(f"{wal}: the log is damaged behind frame {frames}: {commits} commits are lost; {RESTORE}")


def sync_folder(folder: Path) -> None:
    """Make a rename in this folder durable. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
