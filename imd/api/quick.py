"""The short way for small requests of senders: what aiohttp parsed once is not parsed again.

A sender's requests have the same head, but for the length, minute after minute, and of one alert's cost aiohttp's share
is a third: parsing, a message queue, two tasks, a stream for the body, the answer's headers. So the head of a request
that went the ordinary way and was answered 200 by a route that asks for it (`server.Route.quick`) is kept, as bytes,
with what aiohttp made of it. When a read brings exactly such a head and the whole body behind it, and nothing else is
under way on the connection, the route's handler is called at once, with a request made of the kept parts.

What a head means is thus always aiohttp's word, and tokens, limits and bodies are looked at by the same handler each
time. Whatever is not just so goes the ordinary way: a part of a request, more than one, other lengths, a connection
that closes or does not read its answers. While a request is on the short way, what comes behind it waits unparsed.

Most of what senders send is understood whole, taken, and answered 200 in one way. For that a route has a second handler
(`AtOnce`), which awaits nothing and is told of the commit: no task, no request, no response are made. Where it takes
nothing, or something else is to be said, the route's own handler is called.

It rests on names inside aiohttp's `RequestHandler`. `usable` looks whether they are there; else nobody gets this.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from aiohttp import web
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import HttpVersion11, RawRequestMessage, StreamWriter
from aiohttp.streams import EmptyStreamReader
from aiohttp.web_protocol import RequestHandler

from imd.api.guarded import Guard, Guarded
from imd.api.signed import NEVER_AGAIN

if TYPE_CHECKING:
    from aiohttp.web_urldispatcher import UrlMappingMatchInfo

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Over = Callable[[bytes | Handler], None]
"""Told what to answer: 200 with this JSON, or with nothing; or what this handler says."""

AtOnce = Callable[[web.Request, bytes, Over], bool]
"""Given a request with this head, but for its body, and the body. False where nothing was taken."""

HEADS_MAX = 4096
"""Heads that are kept, of all senders together; their lengths differ, so one sender has many. Some 4 kB each."""

HEAD_BYTES_MAX = 2048
PLAIN_BYTES_MAX = 4096
_END = b"\r\n\r\n"
_NEEDS = (
    "_close _current_request _force_close _handle_request _handler_waiter _keepalive_handle _keepalive_timeout _loop"
    " _manager _messages _next_keepalive_close_time _paused _process_keepalive _request_count _request_in_progress"
    " _task_handler _upgraded _waiter data_received force_close"
)


class _Known:
    """What aiohttp made of a head. `asked` is a request with it, for who looks at no more than that."""

    __slots__ = ("asked", "at_once", "handler", "length", "match", "message")

    def __init__(self, request: web.Request, length: int, at_once: AtOnce) -> None:
        self.message = request._message
        self.length = length
        self.match: UrlMappingMatchInfo = request.match_info
        self.handler: Handler = request.match_info.handler
        self.at_once = at_once
        self.asked = request.clone()
        for its_own in ("_payload", "_payload_writer", "_protocol", "_task"):  # the connection is not to be kept
            setattr(self.asked, its_own, None)


class _Body(EmptyStreamReader):
    """A body that is all there."""

    __slots__ = ("_body",)

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self._body = body

    def read_nowait(self, n: int = -1) -> bytes:
        body, self._body = self._body, b""
        return body


class Heads:
    """The heads that are known. `handlers` are those that may be called by the short way, with what is tried first."""

    def __init__(self, handlers: Mapping[Handler, AtOnce]) -> None:
        self._handlers = dict(handlers)
        self._known: dict[bytes, _Known] = {}

    def __len__(self) -> int:
        return len(self._known)

    def get(self, head: bytes) -> _Known | None:
        return self._known.get(head)

    def learn(self, head: bytes, length: int, request: web.BaseRequest, response: web.StreamResponse) -> None:
        """A request whose head this is was answered. It is kept if it may come again just so."""
        message = request._message
        if (
            response.status != 200
            or not isinstance(request, web.Request)
            or request.match_info.handler not in self._handlers
            or len(head) > HEAD_BYTES_MAX
            or message.should_close
            or message.compression
            or message.url.absolute
            or "Expect" in message.headers
            or NEVER_AGAIN in request
        ):
            return
        if len(self._known) >= HEADS_MAX:
            self._known.clear()
        self._known[head] = _Known(request, length, self._handlers[request.match_info.handler])


def whole(head: bytes, message: object) -> int:
    """The length of the body that a head announces; -1 where that is not said in just one plain way."""
    if not isinstance(message, RawRequestMessage) or message.version != HttpVersion11:
        return -1
    if message.chunked or message.upgrade or head.count(b"\n") != head.count(b"\r\n") or b"\0" in head:
        return -1
    if not head[:1].isalpha():
        return -1  # empty lines before a request are passed over: two of them would look like the end of a head
    lengths = message.headers.getall("Content-Length", ["0"])
    return int(lengths[0]) if len(lengths) == 1 and lengths[0].isdecimal() and lengths[0].isascii() else -1


class Quick(Guarded):
    """One connection. `_rest` counts what is still to come of a body that goes the ordinary way; None where that is
    not known: then everything goes that way for good. 0: the next byte begins a request."""

    __slots__ = ("_behind", "_heads", "_learning", "_rest", "_under_way")

    def __init__(self, heads: Heads, guard: Guard, manager: web.Server, **kwargs: Any) -> None:
        super().__init__(guard, manager, **kwargs)
        self._heads = heads
        self._rest: int | None = 0
        self._under_way: asyncio.Task[None] | _Known | None = None
        self._behind = b""
        self._learning: tuple[bytes, int, RawRequestMessage] | None = None

    def data_received(self, data: bytes) -> None:
        if self._under_way is not None:
            if data and not self._force_close:
                self._behind += data
                self._pause_transport_reading()
            return
        if self._rest != 0 or not data:
            self._ordinary(data)
            return
        end = data.find(_END, 0, HEAD_BYTES_MAX) + len(_END)
        known = self._heads.get(data[:end])
        if known is None or len(data) - end != known.length or not self._idle():
            self._ordinary(data)
        else:
            self._take(known, data[end:])

    def _idle(self) -> bool:
        waits = self._waiter is not None and not self._waiter.done() and not self._messages
        return waits and not (self._close or self._force_close or self._paused or self._upgraded)

    def _ordinary(self, data: bytes) -> None:
        """To aiohttp's parser, keeping count of where it stands."""
        if not data or self._rest is None:
            super().data_received(data)
            return
        if self._rest:
            self._rest = self._rest - len(data) if len(data) <= self._rest else None
            super().data_received(data)
            return
        before, end = self._request_count, data.find(_END) + len(_END)
        super().data_received(data)
        self._rest = None
        if end < len(_END) or self._request_count != before + 1 or not self._messages:
            return
        head, message = data[:end], self._messages[-1][0]
        length = whole(head, message)
        rest = length - (len(data) - end)
        if length >= 0 and rest >= 0:
            self._rest = rest
            if rest == 0:
                assert isinstance(message, RawRequestMessage)
                self._learning = head, length, message

    async def _handle_request(
        self,
        request: web.BaseRequest,
        start_time: float | None,
        request_handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
    ) -> tuple[web.StreamResponse, bool]:
        response, reset = await super()._handle_request(request, start_time, request_handler)
        learning, self._learning = self._learning, None
        if learning is not None and learning[2] is request._message:
            self._heads.learn(learning[0], learning[1], request, response)
        return response, reset

    # -- the short way ----------------------------------------------------------------------------------------------

    @property
    def waits(self) -> bool:
        return self._under_way is None and super().waits

    def _take(self, known: _Known, body: bytes) -> None:
        self.heard = self._loop.time()
        assert self._manager is not None
        self._request_count += 1
        self._manager.requests_count += 1
        self._request_in_progress = True
        self._under_way = known
        if not known.at_once(known.asked, body, functools.partial(self._over, known)):
            self._ask(known, known.handler, body)

    def _over(self, known: _Known, answer: bytes | Handler) -> None:
        if self.transport is None:
            self._finish(keep=False)
        elif isinstance(answer, bytes):
            self.transport.write(_said(answer, "application/json"))
            self._finish(keep=True)
        else:
            self._ask(known, answer, b"")

    def _ask(self, known: _Known, handler: Handler, body: bytes) -> None:
        assert self._task_handler is not None
        writer = StreamWriter(self, self._loop)
        request = web.Request(known.message, _Body(body), self, writer, self._task_handler, self._loop)
        request._match_info = known.match
        self._current_request = request
        self._under_way = self._loop.create_task(self._answer(handler, request))

    async def _answer(self, handler: Handler, request: web.Request) -> None:
        keep = False
        try:
            response = await handler(request)
            keep = await self._write(response, request)
        except ConnectionError:
            self.log_debug("the client went away")
        finally:
            self._finish(keep)

    async def _write(self, response: web.StreamResponse, request: web.Request) -> bool:
        """Whether the connection lives on."""
        if self.transport is None:
            return False
        if type(response) is web.Response and (plain := _plain(response)):
            self.transport.write(plain)
            return True
        await response.prepare(request)
        await response.write_eof()
        return bool(response.keep_alive)

    def _finish(self, keep: bool) -> None:
        self._under_way = self._current_request = None
        self._request_in_progress = False
        if self._handler_waiter is not None and not self._handler_waiter.done():
            self._handler_waiter.set_result(None)
        if not keep or self._close or self._force_close:
            self.force_close()
            return
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        if self._behind:
            data, self._behind = self._behind, b""
            self._resume_transport_reading()
            self.data_received(data)

    def _process_keepalive(self) -> None:
        if self._under_way is None:
            super()._process_keepalive()
        else:
            self._keepalive_handle = self._loop.call_later(self._keepalive_timeout, self._process_keepalive)

    def connection_lost(self, error: BaseException | None) -> None:
        self._behind = b""
        super().connection_lost(error)


def _plain(response: web.Response) -> bytes:
    """The whole answer as bytes, where it is 200 and has no headers of its own; else b""."""
    body, kind = response.body or b"", response.headers.get("Content-Type")
    if response.status != 200 or type(body) is not bytes or len(body) > PLAIN_BYTES_MAX:
        return b""
    if len(response.headers) != (kind is not None) or bool(body) != (kind is not None):
        return b""
    return _said(body, kind or "")


def _said(body: bytes, kind: str) -> bytes:
    return _dated(body, kind, rfc822_formatted_time())


@functools.lru_cache(maxsize=16)
def _dated(body: bytes, kind: str, date: str) -> bytes:
    """Mostly it is the same answer many times a second."""
    said = f"Content-Type: {kind}\r\n" if body else ""
    said += f"Content-Length: {len(body)}\r\nDate: {date}\r\nServer: imd\r\n"
    return f"HTTP/1.1 200 OK\r\n{said}\r\n".encode() + body


class _Server(web.Server):
    """Makes such connections."""

    def __init__(self, heads: Heads, guard: Guard, server: web.Server) -> None:
        super().__init__(
            server.request_handler,
            request_factory=server.request_factory,
            handler_cancellation=server.handler_cancellation,
            loop=server._loop,
            **server._kwargs,
        )
        self._heads, self._guard = heads, guard
        self._usable = usable()

    def __call__(self) -> RequestHandler:
        if self._usable:
            return Quick(self._heads, self._guard, self, loop=self._loop, **self._kwargs)
        return Guarded(self._guard, self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """Runs an application whose `handlers` may be called by the short way, on connections that `guard` bounds."""

    def __init__(self, app: web.Application, handlers: Mapping[Handler, AtOnce], guard: Guard, **kwargs: Any) -> None:
        super().__init__(app, **kwargs)
        self.heads = Heads(handlers)
        self._guard = guard

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        return _Server(self.heads, self._guard, server)


def usable() -> bool:
    """Whether this aiohttp is built as the short way expects."""
    return all(hasattr(RequestHandler, name) for name in _NEEDS.split())
