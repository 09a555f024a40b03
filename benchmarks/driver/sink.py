"""A webhook receiver in the driver's own process: takes every notification and notes when it came.

Owns just that; bodies are looked into when the load is over. Messages with a Content-Length and chunked ones are read.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from benchmarks.driver.alerts import numbers_in

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
_LAST_CHUNK = b"0\r\n\r\n"


class Sink:
    """`messages` are (instant by the monotonic clock, what was received)."""

    def __init__(self) -> None:
        self.messages: list[tuple[float, bytes]] = []
        self._enough = 0
        self._enough_came = asyncio.Event()
        self._server: asyncio.Server | None = None

    async def start(self) -> Sink:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Receiving(self._take), "127.0.0.1", 0, backlog=512)
        return self

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/sink"

    def close(self) -> None:
        if self._server is not None:
            self._server.close()

    def _take(self, message: bytes) -> None:
        self.messages.append((time.perf_counter(), message))
        self._look()

    def first_heard(self) -> dict[int, float]:
        """By the number of the alert: when the first message that speaks of it came."""
        heard: dict[int, float] = {}
        for at, message in self.messages:
            for number in numbers_in(message):
                heard.setdefault(number, at)
        return heard

    async def wait(self, messages: int, seconds: float) -> None:
        """Until so many messages came, at most so long."""
        self._enough = messages
        self._enough_came.clear()
        self._look()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._enough_came.wait()

    def _look(self) -> None:
        if len(self.messages) >= self._enough:
            self._enough_came.set()


class _Receiving(asyncio.Protocol):
    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take = take
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, received: bytes) -> None:
        assert self._transport is not None
        self._buffer += received
        while (end := _message_end(self._buffer)) is not None:
            self._take(self._buffer[:end])
            self._buffer = self._buffer[end:]
            self._transport.write(_ANSWER)


def _message_end(buffer: bytes) -> int | None:
    """Where the first message in the buffer ends; None while it is not whole."""
    head = buffer.find(b"\r\n\r\n")
    if head < 0:
        return None
    lowered = buffer[:head].lower()
    place = lowered.find(b"\r\ncontent-length:")
    if place >= 0:
        end = head + 4 + int(lowered[place + 17 :].split(b"\r", 1)[0])
        return end if len(buffer) >= end else None
    if b"chunked" not in lowered:
        return head + 4
    last = buffer.find(b"\r\n" + _LAST_CHUNK, head)
    return None if last < 0 else last + 2 + len(_LAST_CHUNK)
