"""Virtual time: an asyncio event loop whose clock jumps to whatever is due next, and a network that is memory.

Owns the order in which everything happens. `Universe` is what outlives a process: elapsed time, the wall clock (which
may be set), and the agenda of the world outside (clients, people, disks that fill up). `VirtualLoop` is one process's
event loop upon it: it does one callback at a time, and only when none is ready time moves on, to the next timer of the
process or the next item of the agenda, whichever is sooner. Each callback takes a microsecond, so that no two things
happen at the same instant for want of a clock. Nothing here reads a real clock, opens a socket or starts a thread.

A process dies by `Crashed`, which any place below a callback may raise: what has not run by then never runs.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
CALLBACK_SECONDS = 1e-6
_FOREVER = float("inf")


class Crashed(SystemExit):
    """kill -9. A SystemExit, for that is what asyncio lets through a task at once, and what no `except Exception` of
    the daemon's holds up."""


class Stuck(AssertionError):
    """Nothing is ready, no timer is set and the agenda is empty: something waits for ever."""


class Universe:
    """Time, and what happens outside the process under test. It is the Clock that the daemon is given."""

    def __init__(self) -> None:
        self.elapsed = 0.0
        self.set_by = timedelta(0)
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._added = 0

    def now(self) -> datetime:
        return self.elsewhere() + self.set_by

    def elsewhere(self) -> datetime:
        """The time on other machines, whose clocks are right."""
        return START + timedelta(microseconds=round(self.elapsed * 1e6))

    def monotonic(self) -> float:
        return self.elapsed

    def at(self, when: float, what: Callable[[], None]) -> None:
        """In seconds since the beginning; what is past is done next."""
        self._added += 1
        heapq.heappush(self._agenda, (max(when, self.elapsed), self._added, what))

    def after(self, seconds: float, what: Callable[[], None]) -> None:
        self.at(self.elapsed + seconds, what)

    @property
    def next_at(self) -> float:
        return self._agenda[0][0] if self._agenda else _FOREVER

    def turn(self) -> None:
        """The next item of the agenda, at its time. Raises Stuck."""
        if not self._agenda:
            raise Stuck("the agenda is empty")
        when, _, what = heapq.heappop(self._agenda)
        self.elapsed = max(self.elapsed, when)
        what()


class VirtualLoop(asyncio.BaseEventLoop):
    """One process's. `run_in_executor` runs its work in the loop's thread, some virtual time later, and hands over the
    result a little later still: between the two a crash finds it done and not told. `turns` counts callbacks."""

    _ready: deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]

    def __init__(self, universe: Universe, draw: Random, listening: Listening) -> None:
        super().__init__()
        self._universe = universe
        self._draw = draw
        self._listening = listening
        self.turns = 0
        self.crash_at_turn = 0
        self.signals: dict[int, Callable[[], None]] = {}
        self.set_exception_handler(self._unhandled)
        self.unhandled: list[str] = []

    def time(self) -> float:
        return self._universe.elapsed

    def _unhandled(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.unhandled.append(f"{context.get('message')}: {type(error).__name__}: {error}")

    def _run_once(self) -> None:  # of BaseEventLoop: one turn of run_forever
        universe, scheduled, ready = self._universe, self._scheduled, self._ready
        while scheduled and scheduled[0]._cancelled:
            self._timer_cancelled_count -= 1
            heapq.heappop(scheduled)._scheduled = False
        if not ready:
            timer_at = scheduled[0]._when if scheduled else _FOREVER
            if universe.next_at <= timer_at:
                universe.turn()
                return
            universe.elapsed = max(universe.elapsed, timer_at)
        while scheduled and scheduled[0]._when <= universe.elapsed:
            timer = heapq.heappop(scheduled)
            timer._scheduled = False
            ready.append(timer)
        handle = ready.popleft()
        if handle._cancelled:
            return
        self.turns += 1
        universe.elapsed += CALLBACK_SECONDS
        handle._run()
        if self.turns == self.crash_at_turn:
            raise Crashed

    def call_soon_threadsafe(self, callback: Callable[..., Any], *args: Any, context: Any = None) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def run_in_executor(self, _executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        future = self.create_future()

        def work() -> None:
            try:
                result = func(*args)
            except Exception as error:
                self.call_later(self._draw.uniform(0, 0.002), _settle, future, None, error)
            else:
                self.call_later(self._draw.uniform(0, 0.002), _settle, future, result, None)

        self.call_later(self._draw.uniform(0, 0.004), work)
        return future

    def add_signal_handler(self, sig: int, callback: Callable[..., Any], *args: Any) -> None:
        self.signals[sig] = lambda: callback(*args)

    async def create_server(self, protocol_factory: Any, *_: Any, **__: Any) -> Any:
        self._listening.open(self, protocol_factory)
        return self._listening

    def _process_events(self, event_list: Any) -> None: ...

    def _write_to_self(self) -> None: ...


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


class Listening:
    """The port that the daemon serves. `loop` None: nobody listens, and a connection is refused."""

    def __init__(self) -> None:
        self.loop: VirtualLoop | None = None
        self._factory: Callable[[], Any] = lambda: None
        self.connections: dict[Connection, None] = {}
        self.sockets: list[Any] = []

    def open(self, loop: VirtualLoop, factory: Callable[[], Any]) -> None:
        self.loop, self._factory = loop, factory

    def close(self) -> None:
        self.loop = None

    async def wait_closed(self) -> None: ...

    def died(self) -> None:
        """The process is gone: the kernel resets what was open."""
        self.loop = None
        connections, self.connections = list(self.connections), {}
        for one in connections:
            one.reset()

    def connect(self, request: bytes, answered: Callable[[int, bytes], None], broken: Callable[[], None]) -> Connection:
        """Sends one request on a connection of its own. `answered` is called as the last byte of the answer is written,
        in the daemon's own turn; `broken` where the connection ends without one. Raises ConnectionRefusedError."""
        if self.loop is None:
            raise ConnectionRefusedError
        connection = Connection(self, answered, broken)
        self.connections[connection] = None
        self.loop.call_soon(connection.begin, self._factory, request)
        return connection


class Connection(asyncio.Transport):
    """The daemon's end of one connection, which is all there is of it."""

    def __init__(
        self, listening: Listening, answered: Callable[[int, bytes], None], broken: Callable[[], None]
    ) -> None:
        super().__init__()
        self._listening = listening
        self._answered = answered
        self._broken = broken
        self._protocol: Any = None
        self._received = b""
        self._over = self._closing = False

    def begin(self, factory: Callable[[], Any], request: bytes) -> None:
        if self._over:
            return
        self._protocol = factory()
        self._protocol.connection_made(self)
        self._protocol.data_received(request)

    def write(self, data: Any) -> None:
        if self._over:
            return
        self._received += bytes(data)
        head, gap, body = self._received.partition(b"\r\n\r\n")
        if not gap:
            return
        lines = head.decode("latin-1").split("\r\n")
        lengths = [int(line.partition(":")[2]) for line in lines if line.lower().startswith("content-length:")]
        if len(body) >= (lengths[0] if lengths else 0):
            self._end()
            self._answered(int(lines[0].split(" ")[1]), body)
            self._hang_up()

    def give_up(self) -> None:
        """The client goes away."""
        if not self._over:
            self._end()
            self._hang_up()

    def reset(self) -> None:
        if not self._over:
            self._end()
            self._broken()

    def _end(self) -> None:
        self._over = True
        self._listening.connections.pop(self, None)

    def _hang_up(self) -> None:
        if self._protocol is not None and self._listening.loop is not None and not self._closing:
            self._closing = True
            self._listening.loop.call_soon(self._protocol.connection_lost, None)

    # What aiohttp asks of a transport.

    def close(self) -> None:
        if not self._over:
            self._end()
            self._broken()
        self._hang_up()

    def abort(self) -> None:
        self.close()

    def is_closing(self) -> bool:
        return self._closing

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("10.0.0.7", 4711) if name == "peername" else default

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def set_protocol(self, protocol: Any) -> None:
        self._protocol = protocol

    def get_protocol(self) -> Any:
        return self._protocol
