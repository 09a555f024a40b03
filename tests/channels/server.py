"""A scripted HTTP server on a real socket: what receivers do on bad days, byte by byte."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

Act = Callable[["Server", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Request:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes
    method: str = "POST"

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Server:
    """Answers the n-th connection's or request's turn with the n-th act of the script; the last one repeats."""

    script: list[Act]
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    turn: int = 0
    port: int = 0

    async def __aenter__(self) -> Server:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self._tasks: set[asyncio.Task[None]] = set()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def url(self, rest: str = "/hook") -> str:
        return f"http://127.0.0.1:{self.port}{rest}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while not writer.is_closing() and not reader.at_eof():
                act = self.script[min(self.turn, len(self.script) - 1)]
                await act(self, reader, writer)
                self.turn += 1
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def read(self, reader: asyncio.StreamReader) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        method, path, _version = first.split(" ")
        self.requests.append(Request(path, headers, body, method))


def answer(status: int, body: bytes = b"", **headers: str) -> Act:
    """A complete answer."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"HTTP/1.1 {status} Reason\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode()
    return raw(head + body)


def speaks(handle: Callable[[Request], tuple[int, bytes]]) -> Act:
    """What `handle` says to each request, status and body."""

    async def act(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.read(reader)
        status, body = handle(server.requests[-1])
        writer.write(b"HTTP/1.1 %d Reason\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body))
        await writer.drain()

    return act


def raw(data: bytes, then_close: bool = False) -> Act:
    """These very bytes, after the request was read."""

    async def act(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.read(reader)
        writer.write(data)
        await writer.drain()
        if then_close:
            writer.close()

    return act


def hang(first: bytes = b"") -> Act:
    """Reads the request, says `first`, then nothing more until the client goes away."""

    async def act(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await raw(first)(server, reader, writer)
        await reader.read()

    return act


def reset(read: bool) -> Act:
    """Resets the connection, before or after the request was read."""

    async def act(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if read:
            await server.read(reader)
        peer: socket.socket = writer.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    return act


def flood(size: int, chunked: bool = False) -> Act:
    """200, then `size` bytes of body as fast as they are taken."""

    async def act(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.read(reader)
        length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
        writer.write(f"HTTP/1.1 200 OK\r\n{length}\r\n\r\n".encode())
        block = b"x" * 65_536
        for _ in range(size // len(block)):
            writer.write(b"10000\r\n%b\r\n" % block if chunked else block)
            await writer.drain()

    return act
