"""`imd serve` that kills itself at a named point: `python -m tests.faults.crashing serve --config config.yaml`.

The points are put around imd's own code from here, so a build that people run has none of them and no variable that
could set them off. Armed by SIGUSR1, which reads `crash` in the working directory ("before-commit 3": at the third time
that this point is passed), or from the beginning where that file is there at the start. Death is SIGKILL: no handler,
no buffer, no exit code of Python's.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import apsw

from imd.cli.main import main
from imd.daemon import app, loop, outbox
from imd.store import sqlite_file, sqlite_writer
from imd.store.migrate import open_store

ORDER = Path("crash")
VFS = "imd-crashing"

ROWS = {
    "after-alert-row": "INSERT INTO alert (",
    "after-incident-row": "INSERT INTO incident (",
    "after-timeline-row": "INSERT INTO timeline_tail (",
    "after-outbox-row": "INSERT INTO delivery (",
    "after-status-row": "UPDATE delivery SET state",
}
POINTS = (
    "before-begin",
    *ROWS,
    "before-commit",
    "before-log-write",
    "before-sync",
    "after-sync",
    "after-commit",
    "before-reply",
    "before-send",
    "after-send",
    "between-channels",
)
SECOND = "second"  # the receiver that "between-channels" waits for


class _Order:
    """What was ordered, and how often its point was passed."""

    def __init__(self) -> None:
        self._point, self._left = "", 0
        self._lock = threading.Lock()
        if ORDER.exists():
            self.read()

    def read(self, *_signal: object) -> None:
        point, left = ORDER.read_text().split()
        assert point in POINTS, point
        ORDER.unlink()
        self._left = int(left)
        self._point = point

    def passing(self, point: str) -> None:
        if point != self._point:
            return
        with self._lock:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


order = _Order()


class _Statements:
    """An exec tracer of the writer's connection: it is asked before each statement and each row."""

    def __init__(self) -> None:
        self._before = ""

    def __call__(self, _cursor: apsw.Cursor, sql: str, _bound: object) -> bool:
        for point, start in ROWS.items():
            if self._before.startswith(start):
                order.passing(point)
        self._before = sql.lstrip()
        if self._before.startswith("BEGIN"):
            order.passing("before-begin")
        elif self._before.startswith("COMMIT"):
            order.passing("before-commit")
        return True


class _Disk(apsw.VFS):
    def __init__(self) -> None:
        super().__init__(VFS, "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        return _File(name, flags)


class _File(apsw.VFSFile):
    def __init__(self, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        order.passing("before-log-write")
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802
        order.passing("before-sync")
        super().xSync(flags)
        order.passing("after-sync")


def _set_points() -> None:
    connect, tell, wake, attempt = (
        sqlite_file.connect,
        sqlite_writer._tell,
        loop.Loop._wake,
        outbox.Outbox._attempt,
    )

    def connected(*arguments: Any, **named: Any) -> apsw.Connection:
        connection = connect(*arguments, **named)
        connection.exec_trace = _Statements()
        return connection

    def told(*arguments: Any) -> None:
        order.passing("after-commit")
        tell(*arguments)

    def woken(*arguments: Any) -> None:
        order.passing("before-reply")
        wake(*arguments)

    async def attempted(self: outbox.Outbox, lane: Any, channel: Any, entry: Any) -> Any:
        order.passing("before-send")
        if lane.name == SECOND:
            order.passing("between-channels")
        answer = await attempt(self, lane, channel, entry)
        order.passing("after-send")
        return answer

    def opened(*arguments: Any) -> Any:
        return open_store(*arguments, vfs=VFS)

    patched: list[tuple[Any, str, Any]] = [
        (sqlite_file, "connect", connected),
        (sqlite_writer, "_tell", told),
        (loop.Loop, "_wake", woken),
        (outbox.Outbox, "_attempt", attempted),
        (app, "open_store", opened),
    ]
    for owner, name, value in patched:
        getattr(owner, name)  # a point whose place is gone must fail here, not pass unnoticed
        setattr(owner, name, value)


if __name__ == "__main__":
    disk = _Disk()
    _set_points()
    signal.signal(signal.SIGUSR1, order.read)
    sys.exit(main())
