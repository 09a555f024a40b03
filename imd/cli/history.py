"""What the commands over recorded history share: lines as often as they are asked for, a bar.

Owns how these fail; knows nothing of what is made of them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from imd.cli.failure import Failed, Misused
from imd.store.contract import StoreFailed, StoreRefused
from imd.store.sqlite_journal import JournalFile

STDIN = "-"
_BAR_EVERY = 2000  # lines
_BAR_FROM_BYTES = 4_000_000  # what is shorter is done before one would have read the bar
_BAR_FROM_LINES = 10_000


class History(Protocol):
    """Lines of EVENTS.jsonl; `name` is where they are from. Reading raises Failed."""

    name: str

    def __iter__(self) -> Iterator[bytes]: ...

    def watched(self) -> Iterable[bytes]:
        """The same, with a bar on a terminal where it takes long."""
        ...


class EventLines:
    """A file, or standard input."""

    def __init__(self, path: Path) -> None:
        self._path = path
        piped = str(path) == STDIN
        self.name = "<stdin>" if piped else str(path)
        self._kept = sys.stdin.buffer.readlines() if piped else None

    def __iter__(self) -> Iterator[bytes]:
        if self._kept is not None:
            yield from self._kept
            return
        try:
            with self._path.open("rb") as file:
                yield from file
        except OSError as error:
            raise Failed(f"cannot read {self._path}: {error.strerror}") from None

    def watched(self) -> Iterable[bytes]:
        size = sum(map(len, self._kept)) if self._kept is not None else self._path.stat().st_size
        return _with_bar(self, size, len) if sys.stderr.isatty() and size >= _BAR_FROM_BYTES else self


class StoreLines:
    """The journal of a store, whose daemon may be running. Raises Misused where there is none."""

    def __init__(self, url: str) -> None:
        self.name = url
        try:
            self._journal = JournalFile(url)
        except StoreRefused as refused:
            raise Misused(str(refused)) from None

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._journal
        except StoreFailed as error:
            raise Failed(str(error)) from None

    def watched(self) -> Iterable[bytes]:
        count = self._journal.count
        return _with_bar(self, count, lambda _: 1) if sys.stderr.isatty() and count >= _BAR_FROM_LINES else self


class _Measure(Protocol):
    def __call__(self, line: bytes, /) -> int: ...


def _with_bar(lines: Iterable[bytes], size: int, measure: _Measure) -> Iterator[bytes]:
    done = 0
    for number, line in enumerate(lines):
        if number % _BAR_EVERY == 0:
            part = done / size
            print(f"\r[{'#' * int(part * 40):<40}] {part:4.0%}", end="", file=sys.stderr, flush=True)
        done += measure(line)
        yield line
    print("\r" + " " * 50 + "\r", end="", file=sys.stderr, flush=True)
