"""Connections that cost too much: too many of them, too many from one address, a head that never ends.

aiohttp bounds none of these: a connection may take as long over its head as its keep-alive lasts, and there may be as
many as the process has file descriptors, which the database and the sends to receivers need too. So there are at most
as many as leave a reserve of descriptors; one address has at most half of them, for else one stranger with idle sockets
keeps every sender out. The time for a body is `body`'s; the time a connection may be idle is aiohttp's keep-alive.
"""

from __future__ import annotations

import asyncio
import resource
from collections import Counter
from collections.abc import Callable
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from imd.telemetry import Metrics

DESCRIPTORS_KEPT = 128
"""For the database, logs, and sends: 16 a receiver. At most half of what the process has."""

_REFUSED = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_TOO_LATE = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Guard:
    """Counts connections. `connections_max` and `head_seconds` are asked anew for each."""

    def __init__(self, connections_max: Callable[[], int], head_seconds: Callable[[], float], metrics: Metrics) -> None:
        self._wanted_max = connections_max
        self.head_seconds = head_seconds
        self._metrics = metrics
        self._open: Counter[str] = Counter()
        self._all = 0

    def came(self, address: str) -> bool:
        """One more from there; whether it may stay. It is to be told of its end by `went` either way."""
        self._all += 1
        self._open[address] += 1
        most = connections_bound(self._wanted_max())
        if self._all > most:
            self.refused("too_many")
        elif self._open[address] > max(1, most // 2):
            self.refused("too_many_of_one")
        else:
            return True
        return False

    def went(self, address: str) -> None:
        self._all -= 1
        self._open[address] -= 1
        if not self._open[address]:
            del self._open[address]

    def refused(self, reason: str) -> None:
        self._metrics.count("http_connections_refused_total", (reason,))


def connections_bound(wanted: int) -> int:
    """What of it the process's descriptors allow."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    return max(1, min(wanted, soft - min(DESCRIPTORS_KEPT, soft // 2)))


class Guarded(RequestHandler):
    """One connection. It rests on aiohttp's `_waiter`, which is pending while the connection waits for a request."""

    __slots__ = ("_address", "_guard", "_late")

    def __init__(self, guard: Guard, manager: web.Server, **kwargs: Any) -> None:
        super().__init__(manager, **kwargs)
        self._guard = guard
        self._address: str | None = None
        self._late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("peername")
        self._address = str(peer[0]) if isinstance(peer, tuple) else ""
        stays = self._guard.came(self._address)
        super().connection_made(transport)
        if not stays:
            self._end(_REFUSED)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._waits():
            if data and self._late is None:
                self._late = self._loop.call_later(self._guard.head_seconds(), self._too_late)
        elif self._late is not None:
            self._late.cancel()
            self._late = None

    def connection_lost(self, error: BaseException | None) -> None:
        if self._address is not None:
            self._guard.went(self._address)
            self._address = None
        if self._late is not None:
            self._late.cancel()
            self._late = None
        super().connection_lost(error)

    def drain_no_more(self) -> None:
        """What is left of this body is not waited for: its client had its time."""
        self._lingering_time = 0.0

    def _waits(self) -> bool:
        """For a request, or the rest of its head."""
        waiter = self._waiter
        return waiter is not None and not waiter.done() and not self._messages

    def _too_late(self) -> None:
        self._late = None
        if self._waits():
            self._guard.refused("slow_head")
            self._end(_TOO_LATE)

    def _end(self, answer: bytes) -> None:
        if self.transport is not None:
            self.transport.write(answer)
        self.force_close()
