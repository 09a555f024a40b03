"""Long answers: a JSON array of any length that is made and written piece by piece, so that the loop turns meanwhile.

A hundred thousand alerts are 45 MB of JSON: made and written in one go they would hold up every other client for half a
second. So who lists hands over short pieces of JSON, which are put together only as they are written. How many are made
at once is bounded, and so is how long a client may take to read: its answer is in memory until then.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from aiohttp import web

from imd.api.answers import JSON, Refusal

AT_ONCE = 4
"""Long answers that are made or written at the same time. One of 100,000 alerts takes some 100 MB."""

WAIT_SECONDS = 10.0
WRITE_SECONDS = 60.0
WHOLE_BYTES_MAX = 256 * 1024
_PIECE_ITEMS = 250  # items put together before the loop turns: some 100 kB

_RUN_ITEMS = 500

Pieces = Iterable[bytes]
Item = TypeVar("Item")
Entry = TypeVar("Entry")


class LongAnswers:
    """One for the server."""

    def __init__(self, wait_seconds: float = WAIT_SECONDS, write_seconds: float = WRITE_SECONDS) -> None:
        self._permits = asyncio.Semaphore(AT_ONCE)
        self.under_way = 0
        self._wait_seconds = wait_seconds
        self._write_seconds = write_seconds

    async def array(self, request: web.Request, items: Callable[[], Awaitable[Pieces]]) -> web.StreamResponse:
        """The array of what `items` finds. Each piece is one item, or part of one that goes on with the next: a comma
        stands only where the caller puts it. Raises Refusal 503 where too many ask at once."""
        async with self._permitted():
            pieces = iter(await items())
            if request.method == "HEAD":
                return web.StreamResponse(headers={"Content-Type": JSON})
            first, whole = _take(pieces)
            if whole:
                return web.Response(body=b"[" + first + b"]", content_type=JSON)
            return await self._written(request, first, pieces)

    @asynccontextmanager
    async def _permitted(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._permits.acquire()
        except TimeoutError:
            raise Refusal(503, f"{AT_ONCE} lists are under way already", headers={"Retry-After": "5"}) from None
        self.under_way += 1
        try:
            yield
        finally:
            self.under_way -= 1
            self._permits.release()

    async def _written(self, request: web.Request, first: bytes, pieces: Iterator[bytes]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": JSON})
        try:
            async with asyncio.timeout(self._write_seconds):
                await response.prepare(request)
                await response.write(b"[" + first)
                for part in _parts(pieces):
                    await response.write(part)
                    await asyncio.sleep(0)
                await response.write(b"]")
                await response.write_eof()
        except TimeoutError:
            # What is cut off must not look like an answer: the connection ends without its last chunk.
            if request.transport is not None:
                request.transport.abort()
        except ConnectionError:
            pass  # the client went away
        return response


def _take(pieces: Iterator[bytes]) -> tuple[bytes, bool]:
    """The beginning, up to the size that is answered in one go, and whether that is all."""
    taken, size = [], 0
    for piece in pieces:
        taken.append(piece)
        size += len(piece)
        if size > WHOLE_BYTES_MAX:
            return b"".join(taken), False
    return b"".join(taken), True


def _parts(pieces: Iterator[bytes]) -> Iterator[bytes]:
    part: list[bytes] = []
    for piece in pieces:
        part.append(piece)
        if len(part) == _PIECE_ITEMS:
            yield b"".join(part)
            part.clear()
    yield b"".join(part)


def with_commas(items: Iterable[bytes]) -> Iterator[bytes]:
    """Each item, with a comma before all but the first."""
    for number, item in enumerate(items):
        yield b"," + item if number else item


class Runs(Generic[Item]):
    """Items in order of their keys, without ever sorting all of them at once: short runs are sorted as they come, and
    merged as they go. Items of one key stay in order of their coming."""

    def __init__(self) -> None:
        self._runs: list[list[tuple[str, int, Item]]] = []
        self._count = 0

    def add(self, key: str, item: Item) -> None:
        if not self._runs or len(self._runs[-1]) >= _RUN_ITEMS:
            if self._runs:
                self._runs[-1].sort()
            self._runs.append([])
        self._runs[-1].append((key, self._count, item))
        self._count += 1

    def __iter__(self) -> Iterator[Item]:
        self._close()
        return (item for _, _, item in heapq.merge(*self._runs))

    def drain(self) -> Iterator[Item]:
        """The same, once: each item is let go as it is passed on, for letting go of all at once takes its time too."""
        self._close()
        for run in self._runs:
            run.reverse()
        return (item for _, _, item in heapq.merge(*map(_emptied, self._runs)))

    def _close(self) -> None:
        if self._runs:
            self._runs[-1].sort()


def _emptied(run: list[Entry]) -> Iterator[Entry]:
    while run:
        yield run.pop()
