"""One process per database: an advisory lock on a file beside it.

The lock dies with its process, however it dies, so nothing has to be cleaned up; the file itself stays. SQLite's own
locks would let two instances take turns, each with an engine that knows nothing of the other's work.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from imd.store.contract import StoreRefused


class Lock:
    """Held from `take` to `release`. The file holds the holder's process id as text, for the message alone."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor: int | None = descriptor

    @classmethod
    def take(cls, database: Path) -> Lock:
        """At once or not at all. Raises StoreRefused, naming the process that holds it."""
        path = database.with_name(database.name + ".lock")
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreRefused(
                f"{path}: cannot open the lock file: {error.strerror}; imd's user must be able to write to this folder"
            ) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise StoreRefused(
                f"{database}: another imd uses this database (process {holder}); stop it first, or give this one its "
                "own `store:`"
            ) from None
        except OSError as error:
            os.close(descriptor)
            raise StoreRefused(
                f"{path}: cannot be locked: {error.strerror}; keep the database on a local disk"
            ) from None
        lock = cls(path, descriptor)
        lock._sign()
        return lock

    def _sign(self) -> None:
        assert self._descriptor is not None
        try:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)
        except OSError:  # a full disk: the lock holds all the same, its message will be poorer
            return

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
