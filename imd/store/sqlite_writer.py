"""The writer: one thread, one connection, one queue. Group commit, failure and recovery, checkpoints.

How it works: the thread takes everything queued (up to a bound of rows), writes it in one transaction and says so to
each batch in turn; while it syncs, the next group gathers, so the group's size tunes itself. A failure of any kind
closes the connection, fails the group, and everything behind it too, until a probe: those batches build on the state
that was lost. A failed sync is never tried again on the same log (the kernel may have dropped the pages): the probe
first moves the log into the main file, which is synced anew, and writes on an empty one.

The first opening marks the database as in use, and the closing takes the mark away; both are in the main file before
the log may be short of them. While the mark stands the log is never left empty (`sqlite_file`).

New lines of timelines are written one behind the other; as soon as there are LINES_MAX of them, that group's
transaction files them by their incidents as well.

Checkpoints: PASSIVE when idle, and while busy as soon as the log has grown by CHECKPOINT_PAGES; TRUNCATE when its file
is over WAL_BYTES_MAX, which only a reader that will not end can bring about.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeAlias, TypeVar

import apsw

from imd.store import sqlite_rows
from imd.store.batch import Batch
from imd.store.contract import StoreFailed
from imd.store.sqlite_file import BUSY_TIMEOUT_MS, keep_log, mark_closed, mark_in_use

GROUP_ROWS_MAX = 2_000
CHECKPOINT_PAGES = 1_000  # 4 MiB, SQLite's own default
WAL_BYTES_MAX = 64 << 20
LINES_MAX = 2_000  # new lines of timelines that stand in order of their coming: a reader goes through all, in 0.3 ms
_IDLE_SECONDS = 0.05
_TRUNCATE_WAIT_MS = 100

T = TypeVar("T")
Done: TypeAlias = Callable[[BaseException | None], None]
Commit: TypeAlias = tuple[Batch, Done]
Job: TypeAlias = Callable[[], None]


class Writer:
    """Started by its construction; `connect` opens a connection, `wal_bytes` measures the log, `make_room` is asked
    when the disk is full, and says whether it did. Any thread may call."""

    def __init__(
        self,
        connect: Callable[[], apsw.Connection],
        wal_bytes: Callable[[], int],
        rejected_max: int,
        make_room: Callable[[], bool] = lambda: False,
    ) -> None:
        self._connect = connect
        self._make_room = make_room
        self._wal_bytes = wal_bytes
        self._rejected_max = rejected_max
        self._queue: queue.SimpleQueue[Commit | Job] = queue.SimpleQueue()
        self._connection: apsw.Connection | None = None
        self._failure = "not opened yet"
        self._log_pages = self._lines = 0
        self._checkpoint_at = CHECKPOINT_PAGES
        self._failed = self._closed = self._stopped = self._made_room = self._marked = False
        self._begin()

    def _begin(self) -> None:
        self._thread = threading.Thread(target=self._run, name="imd-store-writer", daemon=True)
        self._thread.start()

    def commit(self, batch: Batch, done: Done) -> None:
        if self._closed:
            done(StoreFailed("the store is closed"))
            return
        self._queue.put((batch, done))

    def probe(self) -> None:
        """Blocks until the probe is through. Raises StoreFailed."""
        self._call(self._probe)

    def transact(self, work: Callable[[apsw.Connection], T]) -> Future[T]:
        """`work` in a transaction of its own, behind what is queued. The future fails with StoreFailed."""
        future: Future[T] = Future()
        if self._closed:
            future.set_exception(StoreFailed("the store is closed"))
        else:
            self._queue.put(lambda: self._settle(future, lambda: self._in_transaction(work)))
        return future

    def close(self) -> None:
        """What is queued is committed first."""
        if not self._closed:
            self._closed = True
            self._queue.put(self._stop)
            self._thread.join()

    def _call(self, work: Callable[[], None]) -> None:
        if self._closed:
            raise StoreFailed("the store is closed")
        future: Future[None] = Future()
        self._queue.put(lambda: self._settle(future, work))
        future.result()

    def _run(self) -> None:
        while not self._stopped:
            try:
                item = self._queue.get(timeout=_IDLE_SECONDS) if self._log_pages else self._queue.get()
            except queue.Empty:
                self._checkpoint()
                continue
            self._take(item)
        self._drop_connection()

    def _take(self, item: Commit | Job) -> None:
        """Does what is next in the queue, and of commits those behind it too."""
        job = self._commit_group(item) if isinstance(item, tuple) else item
        if job is not None:
            job()

    def _stop(self) -> None:
        self._stopped = True
        if self._connection is not None:
            with contextlib.suppress(StoreFailed):  # the log stays then, and tells the next opening
                self._in_transaction(mark_closed)
                self._marked = False

    def _commit_group(self, first: Commit) -> Job | None:
        """Commit `first` and what is queued behind it; answers with the job that ended the group, if one did."""
        group, rows = [first], first[0].rows
        job: Job | None = None
        while rows < GROUP_ROWS_MAX:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                break
            if not isinstance(item, tuple):
                job = item
                break
            group.append(item)
            rows += item[0].rows
        self._commit(group)
        return job

    def _commit(self, group: list[Commit]) -> None:
        failure: StoreFailed | None = None
        try:
            self._in_transaction(lambda connection: self._write(connection, group))
        except StoreFailed as error:
            failure = error
        for _batch, done in group:
            _tell(done, failure)
        if failure is None and self._log_pages >= self._checkpoint_at:
            self._checkpoint()

    def _write(self, connection: apsw.Connection, group: list[Commit]) -> None:
        for batch, _done in group:
            sqlite_rows.write(connection, batch, self._rejected_max)
            self._lines += len(batch.timeline)
        if self._lines >= LINES_MAX:
            sqlite_rows.file_lines(connection)
            self._lines = 0

    def _in_transaction(self, work: Callable[[apsw.Connection], T]) -> T:
        """Raises StoreFailed; the connection is closed then and stays so until a probe."""
        connection = self._connection
        if connection is None:
            raise StoreFailed(f"nothing is written until a probe succeeds, since: {self._failure}")
        try:
            connection.execute("BEGIN IMMEDIATE")
            result = work(connection)
            connection.execute("COMMIT")
        except Exception as error:
            # Not apsw.Error alone: whatever went wrong, the engine is ahead of the disk and the thread must live on.
            self._fail(error)
            raise StoreFailed(self._failure) from error
        return result

    def _probe(self) -> None:
        try:
            self._probe_once()
        except StoreFailed:
            if not self._made_room:
                raise
            self._made_room = False
            self._probe_once()

    def _probe_once(self) -> None:
        try:
            if self._connection is None:
                self._open()
            self._in_transaction(_write_probe)
        except apsw.Error as error:
            self._fail(error)
            raise StoreFailed(self._failure) from error

    def _open(self) -> None:
        """Raises apsw.Error, StoreFailed. The log is emptied before anything is written behind frames whose sync may
        have failed; at the first opening none of ours has, and a backup that reads just then is no reason not to
        start."""
        connection = self._connect()
        try:
            # Both begin the log anew; after a failure its room may be needed, else it had better be seen to be there.
            mode = apsw.SQLITE_CHECKPOINT_TRUNCATE if self._failed else apsw.SQLITE_CHECKPOINT_RESTART
            connection.wal_checkpoint(mode=mode)
        except apsw.BusyError:
            if self._failed:
                _close(connection)
                raise
        except apsw.Error:
            _close(connection)
            raise
        connection.set_wal_hook(self._on_commit)
        self._connection = connection
        self._lines = LINES_MAX  # those of before are not counted, but filed
        if not self._marked:
            self._in_transaction(mark_in_use)
            with contextlib.suppress(apsw.BusyError):  # then it is there with the next checkpoint
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            self._marked = True

    def _on_commit(self, _connection: apsw.Connection, _database: str, pages: int) -> int:
        self._log_pages = pages
        return apsw.SQLITE_OK

    def _checkpoint(self) -> None:
        """Into the main file. A failure here loses nothing but is the disk's: the next commit waits for a probe. Where
        a reader held it back, it is tried again once the log has grown as much again, not at each commit."""
        pages, self._log_pages = self._log_pages, 0
        connection = self._connection
        if connection is None:
            return
        try:
            if self._wal_bytes() > WAL_BYTES_MAX:
                whole = _truncate(connection)
                _write_probe(connection)  # an empty log would look like a lost one
            else:
                in_log, moved = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
                whole = in_log == moved
        except apsw.Error as error:
            self._fail(error)
        else:
            self._checkpoint_at = CHECKPOINT_PAGES + (0 if whole else pages)

    def _fail(self, error: BaseException) -> None:
        self._failed = True
        # At once, though emptying the log may make some room too: else it would be full again a moment later.
        self._made_room = isinstance(error, apsw.FullError) and self._make_room()
        self._failure = f"{type(error).__name__.removesuffix('Error')}: {error}"
        self._drop_connection()

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        self._log_pages = 0
        if connection is not None:
            if self._marked:
                keep_log(connection)
            _close(connection)

    def _settle(self, future: Future[T], work: Callable[[], T]) -> None:
        try:
            future.set_result(work())
        except StoreFailed as error:
            future.set_exception(error)


def _write_probe(connection: apsw.Connection) -> None:
    """Changes a page each time, so that the commit has something to sync."""
    connection.execute(
        "INSERT INTO meta (key, value) VALUES ('probe', 1) ON CONFLICT (key) DO UPDATE SET value = value + 1"
    )


def _truncate(connection: apsw.Connection) -> bool:
    """Whether the log is empty now."""
    connection.set_busy_timeout(_TRUNCATE_WAIT_MS)
    try:
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    except apsw.BusyError:
        return False
    finally:
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    return True


def _close(connection: apsw.Connection) -> None:
    """SQLite rolls back and, as the last connection, checkpoints; what fails of that is done at the next opening."""
    try:
        connection.close(True)
    except apsw.Error:
        return


def _tell(done: Done, failure: StoreFailed | None) -> None:
    try:
        done(failure)
    except RuntimeError:
        return  # the event loop that waited was closed meanwhile: nobody is left to be told
