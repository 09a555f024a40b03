"""Room kept for when the disk is full: a file beside the database that is given up then.

A full disk takes no alerts, but people must still acknowledge, pages must still be marked as sent and escalation must
go on: with a few MiB given back that works for hours. The reserve is laid by again once the disk has that much room
and some more. Room that comes of the database's own log being emptied is none of that: the log grows again within a
second of alerts, and imd would go in and out of shortage. Where the reserve cannot be laid by for another reason than
want of room, imd works without.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

SUFFIX = ".reserve"
BYTES = 4 << 20
MARGIN_BYTES = 1 << 20
LOG_BYTES = 8 << 20
"""Twice of what the log grows to between two checkpoints: with so much more room nobody asks where it came from."""
_WANT_OF_ROOM = {errno.ENOSPC, errno.EDQUOT}


class Reserve:
    """`short` as long as there was no room for it when it was last tried, or it was given up."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(database.name + SUFFIX)
        self._log = database.with_name(database.name + "-wal")
        self._had_bytes = 0
        self.short = False

    def open(self) -> None:
        """At the start, before the database is opened: that too needs room, for its index of the log alone."""
        try:
            full = self._whole() and self._free() < MARGIN_BYTES
        except OSError:
            return
        if full:
            self.give_up()
        else:
            self.lay_by()

    def lay_by(self) -> bool:
        """Whether the disk has room again, which is then taken."""
        if not self._whole():
            try:
                self._make()
            except OSError as error:
                self._path.unlink(missing_ok=True)
                self.short = error.errno in _WANT_OF_ROOM
                return not self.short
        self.short = False
        return True

    def give_up(self) -> bool:
        """Whether that made room."""
        self.short = True
        try:
            self._had_bytes = self._free() + self._log_bytes() + BYTES * self._whole()
            self._path.unlink()
        except OSError:
            return False
        return True

    def _whole(self) -> bool:
        try:
            return self._path.stat().st_blocks * 512 >= BYTES
        except OSError:
            return False

    def _free(self) -> int:
        disk = os.statvfs(self._path.parent)
        return disk.f_bavail * disk.f_frsize

    def _log_bytes(self) -> int:
        try:
            return self._log.stat().st_size
        except OSError:
            return 0

    def _make(self) -> None:
        """Raises OSError. Not sparse: the file system sets the blocks aside."""
        free = self._free()
        have = free + self._log_bytes()
        gained = have - self._had_bytes
        self._had_bytes = min(have, self._had_bytes)  # what the log held is in the database now, which has grown by it
        if free < BYTES + MARGIN_BYTES or (gained < MARGIN_BYTES and free < BYTES + MARGIN_BYTES + LOG_BYTES):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, BYTES)
        finally:
            os.close(descriptor)
