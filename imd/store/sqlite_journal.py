"""The journal of a database, read from outside: by a tool, while a daemon may be writing to it.

Owns no lock and changes nothing: the connection is read-only, and each read is short, for an open one holds back
checkpoints. What is written after the start of a reading is not part of it, so that two readings of one are the same.
"""

from __future__ import annotations

from collections.abc import Iterator

import apsw

from imd.store import sqlite_file
from imd.store.contract import StoreFailed, StoreRefused
from imd.store.migrate import sqlite_path
from imd.store.sqlite_file import rows

SLICE = 5_000  # lines a read: some 20 ms


class JournalFile:
    """The lines of EVENTS.jsonl in the store at `url`, as of now. Raises StoreRefused."""

    def __init__(self, url: str) -> None:
        self.path = sqlite_path(url)
        if not self.path.exists():
            raise StoreRefused(f"{self.path}: there is no such database")
        sqlite_file.check_before_opening(self.path)
        try:
            with sqlite_file.connect(self.path, read_only=True) as connection:
                self.count, self._last = rows(connection, "SELECT count(*), coalesce(max(seq), 0) FROM journal")[0]
        except apsw.Error as error:
            raise StoreRefused(f"{self.path}: cannot be read: {error}") from None

    def __iter__(self) -> Iterator[bytes]:
        """Oldest first. Raises StoreFailed."""
        after = 0
        try:
            connection = sqlite_file.connect(self.path, read_only=True)
            try:
                while found := rows(connection, _LINES, (after, self._last, SLICE)):
                    yield from (line for _, line in found)
                    after = found[-1][0]
            finally:
                connection.close(True)
        except apsw.Error as error:
            raise StoreFailed(f"{self.path}: cannot be read: {error}") from error


_LINES = "SELECT seq, line FROM journal WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
