"""Reading request bodies: whole, within a size and a time, unpacked under the same size.

The server does not unpack for us (`auto_decompress` off, see server): so a bomb costs its bound and no more, forty
thousand empty gzip members are no error of ours, and what is left of a refused body is drained without unpacking it.
"""

from __future__ import annotations

import asyncio
import zlib
from datetime import timedelta

from aiohttp import ClientPayloadError, StreamReader, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_exceptions import HTTPException

from imd.api.answers import Refusal
from imd.api.guarded import Guarded

_BROKEN = (HttpProcessingError, ClientPayloadError, HTTPException, OSError, zlib.error)
_WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
_MEMBERS_MAX = 64  # gzip members in one body; senders write one


async def read_body(request: web.Request, bytes_max: int, within: timedelta) -> bytes:
    """The whole body, unpacked. Raises Refusal: 400 broken, 408 too slow, 413 too large, 415 packed otherwise."""
    declared = request.content_length
    if declared is not None and declared > bytes_max:
        raise too_large(bytes_max)
    content = request.content
    try:
        if content.is_eof():  # all of it came with the head: no timer needed
            body = content.read_nowait()
        else:
            async with asyncio.timeout(within.total_seconds()):
                body = await _read(content, bytes_max)
    except TimeoutError:
        if isinstance(request.protocol, Guarded):
            request.protocol.drain_no_more()
        raise Refusal(408, f"the body took longer than {within.total_seconds():g} s") from None
    except _BROKEN as error:
        raise Refusal(400, f"the body could not be read: {type(error).__name__}") from None
    if len(body) > bytes_max:
        raise too_large(bytes_max)
    encoding = request.headers.get("Content-Encoding")
    return body if encoding is None else unpack(body, encoding, bytes_max)


def too_large(bytes_max: int) -> Refusal:
    return Refusal(413, f"the body is larger than {bytes_max} bytes")


async def _read(content: StreamReader, bytes_max: int) -> bytes:
    body = bytearray()
    while chunk := await content.readany():
        body += chunk
        if len(body) > bytes_max:
            raise too_large(bytes_max)
    return bytes(body)


def unpack(body: bytes, encoding: str, bytes_max: int) -> bytes:
    """The body without its Content-Encoding. Raises Refusal: 400 broken or cut off, 413 too large, 415 unknown."""
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return body
    if encoding not in _WINDOWS:
        raise Refusal(415, f"Content-Encoding {encoding[:40]!a} is not known here; use gzip, deflate or none")
    unpacked = bytearray()
    for _ in range(_MEMBERS_MAX):
        stream = zlib.decompressobj(_WINDOWS[encoding])
        try:
            unpacked += stream.decompress(body, bytes_max + 1 - len(unpacked))
        except zlib.error as error:
            raise Refusal(400, f"the {encoding} body is broken: {error}") from None
        if len(unpacked) > bytes_max:
            raise too_large(bytes_max)
        if not stream.eof:
            raise Refusal(400, f"the {encoding} body is cut off")
        body = stream.unused_data
        if not body:
            return bytes(unpacked)
    raise Refusal(400, f"the body has more than {_MEMBERS_MAX} {encoding} members")
