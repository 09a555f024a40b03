"""A proxy that misbehaves as it is told: between imd and a receiver that is well.

One listening port each, all in one thread. A request is read as a whole before anything happens, so that each fault
strikes where it is meant to: before the receiver has it, after, or in the middle of the answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Awaitable, Callable
from http.client import responses

Fault = Callable[["Proxy", bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
HANG_SECONDS = 30.0


class Proxy:
    """`fault` is what befalls each request; None: it is passed on. `tls` is what it speaks, None: plain.
    `stalls`: it takes connections and reads nothing. Counts `connections` and whole `requests`."""

    def __init__(self, upstream_port: int, fault: Fault | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.upstream_port = upstream_port
        self.fault = fault
        self.tls = tls
        self.stalls = False
        self.connections = self.requests = 0
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]

    async def upstream(self, request: bytes) -> bytes:
        """What the receiver answers."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.upstream_port)
        try:
            writer.write(request)
            return await _message(reader)
        finally:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if self.stalls:
                await asyncio.sleep(HANG_SECONDS)
            if self.tls is not None:
                await writer.start_tls(self.tls, ssl_handshake_timeout=5)
            while request := await _message(reader):
                self.requests += 1
                await (self.fault or passed_on)(self, request, reader, writer)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()


class Proxies:
    """Runs proxies until `close`."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._made: list[Proxy] = []

    def make(self, proxy: Proxy) -> Proxy:
        asyncio.run_coroutine_threadsafe(proxy.listen(), self._loop).result(10)
        self._made.append(proxy)
        return proxy

    def close(self) -> None:
        async def end() -> None:
            tasks = [task for proxy in self._made for task in proxy._tasks]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        with contextlib.suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)


async def _message(reader: asyncio.StreamReader) -> bytes:
    """One HTTP message with its body; b"" at the end."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return head + await reader.readexactly(int(lengths[0].split(b":")[1]) if lengths else 0)


# -- what may befall a request -----------------------------------------------------------------------------------------


async def passed_on(proxy: Proxy, request: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await proxy.upstream(request))


def answers(status: int, body: bytes = b"", **headers: str) -> Fault:
    """Its own answer; the receiver sees nothing."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"HTTP/1.1 {status} {responses.get(status, 'Status')}\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
    return says(head.encode() + body)


def says(raw: bytes, then_closes: bool = False) -> Fault:
    """These bytes, whatever they are."""

    async def act(_proxy: Proxy, _request: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        if then_closes:
            await writer.drain()
            raise ConnectionError

    return act


def hangs(first: bytes = b"", delivered: bool = False) -> Fault:
    """`first`, then nothing more until the client goes away; `delivered`: the receiver has it all the same."""

    async def act(proxy: Proxy, request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if delivered:
            await proxy.upstream(request)
        writer.write(first)
        async with asyncio.timeout(HANG_SECONDS):
            await reader.read()

    return act


def late(seconds: float) -> Fault:
    async def act(proxy: Proxy, request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(seconds)
        await passed_on(proxy, request, reader, writer)

    return act


def resets(delivered: bool) -> Fault:
    """RST: before the receiver has the request, or once it has."""

    async def act(proxy: Proxy, request: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if delivered:
            await proxy.upstream(request)
        peer: socket.socket = writer.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        raise ConnectionError

    return act


async def half_closes(proxy: Proxy, request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The receiver has it; no answer, and an end of ours alone."""
    await proxy.upstream(request)
    writer.write_eof()
    async with asyncio.timeout(HANG_SECONDS):
        await reader.read()


def drips(every_seconds: float) -> Fault:
    """The receiver's answer, byte by byte."""

    async def act(proxy: Proxy, request: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in await proxy.upstream(request):
            writer.write(bytes([byte]))
            await asyncio.sleep(every_seconds)

    return act


def flips(at: int) -> Fault:
    """One bit of the receiver's answer is another."""

    async def act(proxy: Proxy, request: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answer = bytearray(await proxy.upstream(request))
        answer[at] ^= 0x40
        writer.write(answer)

    return act


def floods(size: int) -> Fault:
    """200, and `size` bytes of body. The receiver has it."""

    async def act(proxy: Proxy, request: bytes, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await proxy.upstream(request)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        block = b"x" * 65_536
        for _ in range(size // len(block)):
            writer.write(block)
            await writer.drain()

    return act
