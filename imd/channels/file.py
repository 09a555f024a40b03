"""The `file` receiver: JSONL, one body a line.

Owns the file's integrity: a line is there as a whole and on disk, or not at all. The file is opened for each write, so
that it can be rotated by renaming, without telling imd.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from imd.channels.contract import Answer, Conversation, Pace, Permanent, Receipt, Temporary, body_of
from imd.channels.worker import Worker
from imd.model.effect import Delivery

TIMEOUT_SECONDS = 10.0
FILE_MODE = 0o640
_TORN_BYTES_MAX = 1 << 24
_OUR_MARK = b'{"attempt":'
_HOPELESS = frozenset({errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EEXIST})
"""What no waiting mends. Everything else (full, read-only, not permitted) somebody may be mending right now."""


class File:
    """Appends each delivery's body to one file, whose folders it makes."""

    paces: tuple[Pace, ...] = ()

    def __init__(self, path: Path, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._path = path
        self._worker = Worker("file", timeout_seconds)

    async def send(self, delivery: Delivery, attempt: int, conversation: Conversation = b"") -> Answer:
        line = body_of(delivery, attempt) + b"\n"
        return await self._worker.run(lambda: append(self._path, line))

    async def close(self) -> None:
        self._worker.close()


def append(path: Path, line: bytes) -> Answer:
    """One line, synced. Blocks. A failure cuts the file back to what it was; ambiguous where that fails as well."""
    try:
        with _opened(path) as descriptor:
            return _append(path, descriptor, line)
    except OSError as error:
        return _failure(path, error, ambiguous=False)


def _append(path: Path, descriptor: int, line: bytes) -> Answer:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):  # a pipe or a terminal: nothing to sync, nothing to cut
        _write_all(descriptor, line)
        return Receipt()
    fcntl.flock(descriptor, fcntl.LOCK_EX)  # two receivers may name the same file
    _drop_torn_line(descriptor)
    size = os.fstat(descriptor).st_size
    try:
        _write_all(descriptor, line)
        os.fsync(descriptor)
        if size == 0:
            _sync_folder(path.parent)
    except OSError as error:
        return _failure(path, error, ambiguous=not _cut(descriptor, size))
    return Receipt()


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, line: bytes) -> None:
    rest = memoryview(line)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _cut(descriptor: int, size: int) -> bool:
    """True if the file is `size` bytes long again."""
    try:
        os.ftruncate(descriptor, size)
    except OSError:
        return False
    return True


def _drop_torn_line(descriptor: int) -> None:
    """A kill or a power cut may leave the beginning of a line. Its delivery was not settled and comes again, so what
    is ours goes; what is somebody else's is only given its end."""
    size = os.fstat(descriptor).st_size
    if size == 0 or os.pread(descriptor, 1, size - 1) == b"\n":
        return
    start = max(0, size - _TORN_BYTES_MAX)
    tail = os.pread(descriptor, size - start, start)
    torn = tail[tail.rfind(b"\n") + 1 :]
    if torn.startswith(_OUR_MARK[: len(torn)]):
        os.ftruncate(descriptor, size - len(torn))
    else:
        _write_all(descriptor, b"\n")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _failure(path: Path, error: OSError, ambiguous: bool) -> Temporary | Permanent:
    text = f"{path}: {error.strerror}"
    return Permanent(text) if error.errno in _HOPELESS else Temporary(text, ambiguous=ambiguous)
