"""Connections that cost too much: too many of them, too many from one address, a head that never ends.

aiohttp bounds none of these: a connection may take as long over its head as its keep-alive lasts, and there may be as
many as the process has file descriptors, which the database and the sends to receivers need too. So there are at most
as many as leave a reserve of descriptors; one address has at most half of them, for else one stranger with idle sockets
keeps every sender out. Beyond that a newcomer takes the place of those that wait longest for a request, so that no
crowd of idle sockets, from however many addresses, keeps a sender out either; whoever is closed so asks nothing, and
connects anew when it does. The time for a body is `body`'s; the time a connection may be idle is aiohttp's keep-alive.
"""

from __future__ import annotations

import asyncio
import heapq
import resource
from collections import Counter
from collections.abc import Callable
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from imd.telemetry import Metrics

DESCRIPTORS_KEPT = 128
"""For the database, logs, and sends: 16 a receiver. At most half of what the process has."""

ROOM_SHARE = 16
"""One in so many is closed where there is no room: a flood is not to look through all of them each time."""

_REFUSED = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_TOO_LATE = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Guard:
    """Counts connections. `connections_max` and `head_seconds` are asked anew for each."""

    def __init__(self, connections_max: Callable[[], int], head_seconds: Callable[[], float], metrics: Metrics) -> None:
        self._wanted_max = connections_max
        self.head_seconds = head_seconds
        self._metrics = metrics
        self._open: Counter[str] = Counter()
        self._all: set[Guarded] = set()

    def came(self, newcomer: Guarded) -> bool:
        """One more; whether it may stay. Its end is to be told by `went` either way."""
        most = connections_bound(self._wanted_max())
        self._all.add(newcomer)
        self._open[newcomer.address] += 1
        if len(self._all) > most and not self._makes_room(most, newcomer):
            self.refused("too_many")
        elif self._open[newcomer.address] > max(1, most // 2) and not self._makes_room(most, newcomer, own=True):
            self.refused("too_many_of_one")
        else:
            return True
        return False

    def went(self, connection: Guarded) -> None:
        """At once or later, once or twice."""
        if connection not in self._all:
            return
        self._all.remove(connection)
        self._open[connection.address] -= 1
        if not self._open[connection.address]:
            del self._open[connection.address]

    def _makes_room(self, most: int, newcomer: Guarded, *, own: bool = False) -> bool:
        """Closes some that wait, `own`: of its own address, those that said something longest ago."""
        waiting = (
            one
            for one in self._all
            if one is not newcomer and one.waits and (not own or one.address == newcomer.address)
        )
        longest = heapq.nsmallest(max(1, most // ROOM_SHARE), waiting, key=lambda one: one.heard)
        for one in longest:
            self.refused("made_room")
            self.went(one)
            one.force_close()
        return bool(longest)

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

    __slots__ = ("_guard", "_late", "address", "heard")

    def __init__(self, guard: Guard, manager: web.Server, **kwargs: Any) -> None:
        super().__init__(manager, **kwargs)
        self._guard = guard
        self.address = ""
        self.heard = 0.0
        self._late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if isinstance(peer, tuple) else ""
        self.heard = self._loop.time()
        stays = self._guard.came(self)
        super().connection_made(transport)
        if not stays:
            self._end(_REFUSED)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.heard = self._loop.time()
        if self.waits:
            if data and self._late is None:
                self._late = self._loop.call_later(self._guard.head_seconds(), self._too_late)
        elif self._late is not None:
            self._late.cancel()
            self._late = None

    def connection_lost(self, error: BaseException | None) -> None:
        self._guard.went(self)
        if self._late is not None:
            self._late.cancel()
            self._late = None
        super().connection_lost(error)

    def drain_no_more(self) -> None:
        """What is left of this body is not waited for: its client had its time."""
        self._lingering_time = 0.0

    @property
    def waits(self) -> bool:
        """For a request, or the rest of its head."""
        waiter = self._waiter
        return waiter is not None and not waiter.done() and not self._messages

    def _too_late(self) -> None:
        self._late = None
        if self.waits:
            self._guard.refused("slow_head")
            self._end(_TOO_LATE)

    def _end(self, answer: bytes) -> None:
        if self.transport is not None:
            self.transport.write(answer)
        self.force_close()
