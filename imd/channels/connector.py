"""From a receiver's name to a connected socket: resolving off the loop, checking addresses, pinning them.

Owns names and sockets; knows nothing of requests, statuses or receivers. The address is judged by `addresses` twice:
once for all that a name resolves to, and again where the socket is made, which literal addresses pass as well. What is
connected to is the address that was judged, so a name that changes its answer in between gains nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import threading
from collections.abc import Callable
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler

from imd.model.addresses import refused


class AddressRefused(OSError):
    """The address is one that receivers must not have."""


class NameRefused(AddressRefused):
    """So are all that the name resolves to just now. A resolver that lies for a while, as before a sign-in page or
    after a mistake in the zone, must not cost a page: the next answer may be another."""


class Connector(aiohttp.TCPConnector):
    """Checks each address at the last moment before its socket exists; hands over replies head first."""

    def __init__(self, allow_private: bool) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(
            limit=0,  # the outbox bounds sends, by receiver
            resolver=Resolver(allow_private, loop),
            ttl_dns_cache=30,
            socket_factory=functools.partial(_checked_socket, allow_private),
        )
        make: Callable[..., ResponseHandler] = _HeadFirst
        self._factory = functools.partial(make, loop=loop)


class _HeadFirst(ResponseHandler):
    """Feeds the parser a reply's head apart from what follows it. Otherwise a malformed body in the same packet makes
    aiohttp throw the status away with it."""

    def data_received(self, data: bytes) -> None:
        end = data.find(b"\r\n\r\n") + 4
        if 4 <= end < len(data):
            super().data_received(data[:end])
            data = data[end:]
        super().data_received(data)


def _checked_socket(allow_private: bool, address: tuple[Any, ...]) -> socket.socket:
    """The socket for one getaddrinfo entry. Raises AddressRefused."""
    family, kind, protocol, _, (host, *_rest) = address
    reason = refused(host, allow_private)
    if reason is not None:
        raise AddressRefused(reason)
    return socket.socket(family=family, type=kind, proto=protocol)


class Resolver(AbstractResolver):
    """getaddrinfo in a thread of its own for each lookup, and the last good answer where a new one fails.

    Not in the loop's shared pool: that has few threads, and names that hang would starve everybody else's work. The
    threads are daemons, so a lookup that hangs does not hold up the process's end. aiohttp runs one lookup a name at a
    time and remembers it for `ttl_dns_cache`, which bounds the threads by the number of configured hosts.
    """

    STALE_AFTER_SECONDS = 1.0
    """How long a fresh lookup may take before the last good answer is used. The check of addresses comes later."""

    def __init__(self, allow_private: bool, loop: asyncio.AbstractEventLoop) -> None:
        self._allow_private = allow_private
        self._loop = loop
        self._good: dict[tuple[str, int], list[ResolveResult]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        known = self._good.get((host, port))
        try:
            async with asyncio.timeout(None if known is None else self.STALE_AFTER_SECONDS):
                found = await self._look_up(host, port, family)
        except OSError:
            if known is None:
                raise
            return known
        self._good[host, port] = self._allowed(host, found)
        return self._good[host, port]

    def _allowed(self, host: str, found: list[ResolveResult]) -> list[ResolveResult]:
        reasons = [refused(entry["host"], self._allow_private) for entry in found]
        allowed = [entry for entry, reason in zip(found, reasons, strict=True) if reason is None]
        if not allowed:
            literal = any(entry["host"] == host for entry in found)
            raise (AddressRefused if literal else NameRefused)(next(filter(None, reasons), "it has no address"))
        return allowed

    def _look_up(self, host: str, port: int, family: int) -> asyncio.Future[list[ResolveResult]]:
        answer: asyncio.Future[list[ResolveResult]] = self._loop.create_future()

        def settle(found: list[ResolveResult] | OSError) -> None:
            if answer.done():
                return
            if isinstance(found, OSError):
                answer.set_exception(found)
            else:
                answer.set_result(found)

        def run() -> None:
            found = get_addresses(host, port, family)
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(settle, found)

        threading.Thread(target=run, name="imd-resolve", daemon=True).start()
        return answer

    async def close(self) -> None:
        self._good.clear()


def get_addresses(host: str, port: int, family: int) -> list[ResolveResult] | OSError:
    try:
        found = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    except OSError as error:
        return error
    except UnicodeError:  # a label too long or empty for IDNA
        return socket.gaierror(socket.EAI_NONAME, "not a valid name")
    numeric = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return [
        ResolveResult(hostname=host, host=str(where[0]), port=port, family=kind, proto=protocol, flags=numeric)
        for kind, _, protocol, _, where in found
    ]
