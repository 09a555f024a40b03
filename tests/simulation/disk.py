"""The disk under the simulated daemon: the real SQLite back end on a database in memory, without its threads.

Owns what a crash leaves: what was committed, and nothing else. The rows, the statements, group commit, failure, probe
and `load` are imd's own (`SqliteStore`, `Writer`, `Reader`); the writer's thread is replaced by turns of the virtual
loop, the file by one connection in memory, which fails as it is told to: a commit may be refused, may fail and be on
disk all the same (a sync that failed), may be slow. Between a commit and its being told lies virtual time, in which a
crash may fall.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty
from random import Random
from typing import Any

import apsw

from imd.clock import Clock
from imd.model.effect import Delivery
from imd.model.secret import Secret
from imd.store import sqlite
from imd.store.contract import Retention, Snapshot, StoreFailed, StoreRefused
from imd.store.migrate import known_migrations, migrate
from imd.store.sqlite import SqliteStore
from imd.store.sqlite_reader import Reader
from imd.store.sqlite_writer import Commit, Done, Job, Writer
from tests.simulation.virtual import START

STORE_ID = "51b0000000000001"
PATH = Path("simulated.db")
COMMIT_SECONDS = 0.002
ROOM_COMMITS = 40  # few, so that the reserve too comes to its end


class Disk:
    """What survives. `full` refuses every write once the `room` that a reserve gave is used up, `broken_reads` every
    read; `fail_commits` is how many of the next commits fail, `kept` whether those are on disk all the same; `slow` is
    how long a commit takes, in seconds."""

    _image = b""
    troubled: Callable[[], None] = staticmethod(lambda: None)
    """Called at each failure."""

    def __init__(self) -> None:
        self.connection = apsw.Connection(":memory:")
        if not Disk._image:
            migrate(self.connection, PATH, known_migrations(), START)
            self.connection.execute("INSERT INTO meta (key, value) VALUES ('store_id', ?)", (STORE_ID,))
            Disk._image = self.connection.serialize("main")
        self.wipe()

    def wipe(self) -> None:
        """An empty database."""
        self.connection.deserialize("main", Disk._image)
        self.new()

    def new(self) -> None:
        """A disk that nothing has befallen yet."""
        self.full = self.broken_reads = self.kept = False
        self.fail_commits = self.room = self.failed = 0
        self.slow = COMMIT_SECONDS
        self.reserve_laid = True

    def heal(self) -> None:
        self.full = self.broken_reads = False
        self.fail_commits = 0
        self.slow = COMMIT_SECONDS

    def fails(self) -> None:
        self.failed += 1
        self.troubled()

    def died(self) -> None:
        """The process is gone, in the middle of whatever it did."""
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    def connect(self) -> _Connection:
        return _Connection(self)

    def rows(self, sql: str, bound: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql, bound).fetchall()


class _Connection:
    """As much of apsw.Connection as the back end uses."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._real = disk.connection
        self.executemany = disk.connection.executemany
        self.changes = disk.connection.changes
        self.wal_checkpoint = disk.connection.wal_checkpoint

    def execute(self, sql: str, bound: Sequence[Any] = ()) -> apsw.Cursor:
        if sql == "COMMIT":
            self._commit()
        elif sql == "BEGIN IMMEDIATE":
            self._take_room()
        elif self._disk.broken_reads and not self._real.in_transaction:
            self._disk.fails()
            raise apsw.IOError("disk I/O error")
        return self._real.execute(sql, bound)

    def _take_room(self) -> None:
        disk = self._disk
        if disk.full and disk.room <= 0:
            disk.fails()
            raise apsw.FullError("database or disk is full")
        disk.room -= disk.full

    def _commit(self) -> None:
        disk = self._disk
        if disk.fail_commits:
            disk.fail_commits -= 1
            disk.fails()
            self._real.execute("COMMIT" if disk.kept else "ROLLBACK")
            raise apsw.IOError("disk I/O error: fsync")

    def config(self, _option: int, _value: int) -> None: ...

    def set_wal_hook(self, _hook: Any) -> None: ...

    def set_busy_timeout(self, _milliseconds: int) -> None: ...

    def set_progress_handler(self, _handler: Any, _steps: int) -> None: ...

    def close(self, _force: bool = False) -> None:
        if self._real.in_transaction:
            self._real.execute("ROLLBACK")


class _Reserve:
    """The file of that name: given up, it makes room for some commits. It outlives the process, `short` does not."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self.short = False
        if disk.full and disk.reserve_laid:
            self.give_up()
        else:
            self.lay_by()

    def give_up(self) -> bool:
        self.short = True
        had, self._disk.reserve_laid = self._disk.reserve_laid, False
        self._disk.room += ROOM_COMMITS * had
        return had

    def lay_by(self) -> bool:
        disk = self._disk
        disk.reserve_laid = disk.reserve_laid or not disk.full
        self.short = not disk.reserve_laid
        return not self.short


class _Writer(Writer):
    """Its queue is served by turns of the loop: `disk.slow` after the first commit came, with all that came since."""

    def __init__(
        self, disk: Disk, draw: Random, point: Callable[[str], None], rejected_max: int, make_room: Callable[[], bool]
    ) -> None:
        self._disk = disk
        self._draw = draw
        self._point = point
        self._planned = False
        super().__init__(disk.connect, lambda: 0, rejected_max, make_room)  # type: ignore[arg-type]

    def _begin(self) -> None: ...

    def commit(self, batch: Any, done: Done) -> None:
        super().commit(batch, done)
        self._plan()

    def transact(self, work: Any) -> Any:
        future = super().transact(work)
        self._plan()
        return future

    def serve(self) -> None:
        """Everything queued."""
        while (item := self._next()) is not None:
            self._point("before commit")
            self._take(item)
            self._point("after commit")

    def close(self) -> None:
        self._closed = True
        self.serve()
        self._drop_connection()

    def _call(self, work: Callable[[], None]) -> None:
        if self._closed:
            raise StoreFailed("the store is closed")
        self.serve()
        work()

    def _next(self) -> Commit | Job | None:
        try:
            return self._queue.get_nowait()
        except Empty:
            return None

    def _plan(self) -> None:
        if not self._planned and not self._closed:
            self._planned = True
            asyncio.get_running_loop().call_later(self._disk.slow * self._draw.uniform(0.5, 1.5), self._turn)

    def _turn(self) -> None:
        self._planned = False
        self.serve()


class SimulatedStore(SqliteStore):
    """One process's store on `disk`. `point` is called with the name of each place where a crash may be wanted."""

    def __init__(
        self,
        disk: Disk,
        clock: Clock,
        draw: Random,
        point: Callable[[str], None],
        queued: Callable[[Delivery], None] = lambda _delivery: None,
    ) -> None:
        """`queued` is called with each message that is handed over to be committed. Raises StoreRefused."""
        self.path = PATH
        self._disk = disk
        self._point = point
        self._store_id, self._link_key = STORE_ID, Secret("k" * 64)
        self._retention = Retention()
        self._draw = draw
        self._told_at = 0.0
        self._queued = queued
        self._reader = Reader(disk.connect, clock)  # type: ignore[arg-type]
        self._reserve = _Reserve(disk)  # type: ignore[assignment]
        self._writer = _Writer(disk, draw, point, self._retention.rejected_max, self._reserve.give_up)
        try:
            self._writer.probe()
        except StoreFailed as error:
            raise StoreRefused(f"{PATH}: cannot be written: {error}") from None

    def commit(self, batch: Any, done: Done) -> None:
        """The writer's thread tells some time after the commit, and always in order: by the loop's clock."""
        loop = asyncio.get_running_loop()
        for delivery in batch.deliveries:
            self._queued(delivery)

        def told(error: BaseException | None) -> None:
            self._told_at = max(self._told_at + 1e-6, loop.time() + self._draw.uniform(0, 0.0005))
            loop.call_at(self._told_at, done, error)

        self._writer.commit(batch, told)

    def load(self) -> Snapshot:
        connection = self._disk.connect()
        try:
            connection.execute("BEGIN")
            return sqlite._snapshot(connection, self._store_id, self.path)  # type: ignore[arg-type]
        except apsw.Error as error:
            raise StoreFailed(f"cannot read: {error}") from error
        finally:
            connection.close()

    def close(self) -> None:
        self._reader._closed = True
        self._writer.close()

    def _measure(self) -> int:
        return 0
