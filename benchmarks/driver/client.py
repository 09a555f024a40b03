"""The load: raw HTTP/1.1 over kept-alive connections, one request under way on each.

Owns sending, and the time and status of every answer. It reads of an answer what it must to know where it ends.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks.driver.alerts import Request

CONNECTIONS = 16


@dataclass
class Load:
    """What came of one load. Times are in seconds; `sent_at` (of paced loads) is by the number of the request."""

    seconds: float = 0.0
    accepted: int = 0
    waits: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    sent_at: dict[int, float] = field(default_factory=dict)
    broken: int = 0

    @property
    def errors(self) -> int:
        """Requests that were not answered, or by another status than 2xx."""
        return self.broken + sum(count for status, count in self.statuses.items() if not 200 <= status < 300)


class Connection(asyncio.Protocol):
    """One connection. `answered(status, seconds)` is called for each answer, `lost` when it is closed meanwhile."""

    def __init__(self, answered: Callable[[Connection, int, float], None], lost: Callable[[Connection], None]) -> None:
        self._answered = answered
        self._lost = lost
        self._buffer = b""
        self._since = 0.0
        self._transport: asyncio.Transport | None = None
        self.busy: Request | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._transport = transport

    def send(self, request: Request) -> float:
        """The instant at which it was handed to the kernel, by the monotonic clock."""
        assert self._transport is not None
        self.busy = request
        self._since = time.perf_counter()
        self._transport.write(request.wire)
        return self._since

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def data_received(self, received: bytes) -> None:
        self._buffer += received
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        whole = end + 4 + _body_length(self._buffer[:end])
        if len(self._buffer) < whole:
            return
        status = int(self._buffer[9:12])
        self._buffer = self._buffer[whole:]
        self._answered(self, status, time.perf_counter() - self._since)

    def connection_lost(self, _error: Exception | None) -> None:
        self._lost(self)


def _body_length(head: bytes) -> int:
    lowered = head.lower()
    place = lowered.find(b"\r\ncontent-length:")
    return int(lowered[place + 17 :].split(b"\r", 1)[0]) if place >= 0 else 0


async def drive(
    port: int,
    requests: Sequence[Request],
    connections: int = CONNECTIONS,
    on_accepted: Callable[[int], None] = lambda number: None,
) -> Load:
    """Every request once, as fast as `connections` clients that wait for their answers can. `on_accepted` hears of each
    that was answered by 2xx, by its number."""
    load, over = Load(), asyncio.get_running_loop().create_future()
    waiting: Iterator[tuple[int, Request]] = iter(enumerate(requests))
    numbers: dict[Connection, int] = {}
    open_connections = connections

    def answered(connection: Connection, status: int, seconds: float) -> None:
        assert connection.busy is not None
        load.waits.append(seconds)
        load.statuses[status] += 1
        if 200 <= status < 300:
            load.accepted += connection.busy.alerts
            on_accepted(numbers[connection])
        connection.busy = None
        give(connection)

    def give(connection: Connection) -> None:
        found = next(waiting, None)
        if found is None:
            connection.close()
        else:
            numbers[connection], request = found
            connection.send(request)

    def lost(connection: Connection) -> None:
        nonlocal open_connections
        load.broken += connection.busy is not None
        open_connections -= 1
        if not open_connections and not over.done():
            over.set_result(None)

    made = await _connect(port, connections, answered, lost)
    started = time.perf_counter()
    for connection in made:
        give(connection)
    await over
    load.seconds = time.perf_counter() - started
    load.broken += sum(1 for _ in waiting)
    return load


async def drive_paced(port: int, requests: Sequence[Request], rate: float, connections: int = CONNECTIONS) -> Load:
    """Every request once, the n-th n / rate seconds after the first. One that finds no free connection is sent as soon
    as there is one, and its time counts from then on: keep the rate well below what the server takes."""
    load, over = Load(), asyncio.get_running_loop().create_future()
    due: deque[int] = deque()
    left = len(requests)

    def answered(connection: Connection, status: int, seconds: float) -> None:
        load.waits.append(seconds)
        load.statuses[status] += 1
        if 200 <= status < 300:
            load.accepted += 1
        connection.busy = None
        free.append(connection)
        finish()

    def lost(connection: Connection) -> None:
        if connection.busy is not None:
            load.broken += 1
            finish()

    def finish() -> None:
        nonlocal left
        left -= 1
        if not left and not over.done():
            over.set_result(None)
        start()

    def start() -> None:
        while due and free:
            number = due.popleft()
            load.sent_at[number] = free.pop().send(requests[number])

    free = await _connect(port, connections, answered, lost)
    every = list(free)
    started = time.perf_counter()
    for number in range(len(requests)):
        if (wait := started + number / rate - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        due.append(number)
        start()
    await over
    load.seconds = time.perf_counter() - started
    for connection in every:
        connection.close()
    return load


async def _connect(
    port: int,
    connections: int,
    answered: Callable[[Connection, int, float], None],
    lost: Callable[[Connection], None],
) -> list[Connection]:
    loop = asyncio.get_running_loop()
    pairs = [
        await loop.create_connection(lambda: Connection(answered, lost), "127.0.0.1", port) for _ in range(connections)
    ]
    return [protocol for _, protocol in pairs]
