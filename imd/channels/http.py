"""The shared HTTP client of all channels, and what its answers mean.

Owns sessions, time bounds, error texts, and the table from status to Receipt, Temporary or Permanent. Must not know
any vendor. Three rules hold for every request:

- The address is checked after resolving, and is the one connected to (`connector`).
- Nothing is followed: a redirect is an answer, and a permanent failure.
- A status line that came decides, whatever becomes of the reply's body; of that at most 64 KiB is read.

A failure is ambiguous once the request may have begun to leave: only failures to connect are not.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import ssl
from base64 import b64encode
from collections.abc import Iterable, Mapping
from copy import copy
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TypeVar
from urllib.parse import quote, unquote

import aiohttp
import msgspec
from yarl import URL

from imd import __version__
from imd.channels.connector import AddressRefused, Connector, NameRefused
from imd.channels.contract import Answer, Permanent, Receipt, Temporary
from imd.model.addresses import odd_literal

T = TypeVar("T")

USER_AGENT = f"imd/{__version__}"
RETRY_AFTER_MAX = timedelta(hours=1)
EXCERPT_BYTES, EXCERPT_CHARS_MAX = 16_384, 200
TEMPORARY_STATUS = frozenset({408, 425, 429})
"""Beside all of 5xx. 425 (RFC 8470) asks for a retry by its very definition."""
GATEWAY_STATUS = frozenset({502, 504})
"""A proxy passed the request on and has no good answer to it: it may have arrived (RFC 9110 15.6.3 and 15.6.5)."""
_SECRET_CHARS_MIN, _SECRET_PART_CHARS_MIN = 4, 8
"""Shorter texts (`/`, `/v1`), and shorter single parts of a path (`alerts`), are no secrets; blotting them out would
garble what receivers say."""


class HttpBounds(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds: to connect (name, TCP, TLS together), for all of it, and for the reply's body once its status is in.
    At most `reply_bytes_max` of that body are read."""

    connect: float = 3.0
    total: float = 10.0
    reply: float = 1.0
    reply_bytes_max: int = 65_536


class Endpoint:
    """One URL of the configuration, taken apart once: what is requested, what may be shown, what must not be.

    `shown` is scheme://host:port. `fault` says why it can never be requested, or is None. `secrets` are texts beside
    the URL that must not show (a token in a header); a URL that is `public`, as a vendor's API is, hides none itself.
    """

    __slots__ = ("_secrets", "allow_private", "authorization", "fault", "shown", "url")

    def __init__(
        self, url: str, allow_private: bool = True, *, secrets: Iterable[str] = (), public: bool = False
    ) -> None:
        self.allow_private = allow_private
        self.authorization: str | None = None
        self._secrets: tuple[str, ...] = tuple(
            sorted((each for each in secrets if len(each) >= _SECRET_CHARS_MIN), key=len, reverse=True)
        )
        self.shown, self.url, self.fault = "the URL", URL(), None
        try:
            parsed = URL(url)
            self.shown = str(parsed.origin())
        except ValueError:
            self.fault = "is not an absolute http or https URL"
            return
        self._take_apart(parsed, public)

    def at(self, path: str, query: Mapping[str, str] | None = None) -> Endpoint:
        """A place below this URL: `path` begins with a slash and is percent-encoded where it must be (`segment`)."""
        below = copy(self)
        below.url = self.url.with_path(self.url.raw_path.rstrip("/") + path, encoded=True).with_query(
            {**self.url.query, **(query or {})} or None
        )
        return below

    def _take_apart(self, parsed: URL, public: bool) -> None:
        if parsed.scheme not in ("http", "https"):
            self.fault = "is not an http or https URL"
        elif odd_literal(parsed.raw_host or ""):
            self.fault = "has a host that is a number in disguise"
        if parsed.raw_user is not None:
            pair = f"{parsed.user or ''}:{parsed.password or ''}"
            self.authorization = "Basic " + b64encode(pair.encode()).decode()
        self.url = parsed.with_user(None).with_fragment(None)
        if not public:
            self._secrets += _secret_parts(parsed, self.authorization)

    def redact(self, text: str) -> str:
        """`text` without this URL's path, query, credentials and other secrets: receivers echo what they are asked."""
        for secret in self._secrets:
            text = text.replace(secret, "<secret>")
        return text


def _secret_parts(url: URL, authorization: str | None) -> tuple[str, ...]:
    """Everything of the URL but scheme, host and port, raw and decoded, whole and by part; the longest first."""
    whole = [url.raw_path, url.raw_path_qs, url.raw_query_string, url.raw_user or "", url.raw_password or ""]
    whole += [*re.split("[&=]", url.raw_query_string), (authorization or "").removeprefix("Basic ")]
    parts = [part for part in url.raw_parts if len(part) >= _SECRET_PART_CHARS_MIN]
    texts = {*whole, *parts, *(unquote(text) for text in (*whole, *parts))}
    return tuple(sorted((text for text in texts if len(text) >= _SECRET_CHARS_MIN), key=len, reverse=True))


class Reply(msgspec.Struct, frozen=True):
    """An answer with a status. `body` is its beginning; `headers` are by lower-case name, the last of equals."""

    status: int
    retry_after: timedelta | None
    body: bytes
    headers: Mapping[str, str] = {}

    def decoded(self, kind: type[T]) -> T | None:
        """The body as JSON of this shape, None where it is something else."""
        try:
            return msgspec.json.decode(self.body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None


class HttpClient:
    """Connections of all channels; made lazily inside the running loop. `now` is for Retry-After dates."""

    def __init__(self, bounds: HttpBounds = HttpBounds()) -> None:  # noqa: B008 (frozen)
        self._bounds = bounds
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def post(self, endpoint: Endpoint, body: bytes, headers: Mapping[str, str], now: datetime) -> Answer:
        """One POST, judged by its status alone. Raises nothing but CancelledError."""
        reply = await self.exchange(endpoint, body, headers, now)
        return judge(reply, endpoint) if isinstance(reply, Reply) else reply

    async def exchange(
        self, endpoint: Endpoint, body: bytes, headers: Mapping[str, str], now: datetime, method: str = "POST"
    ) -> Reply | Temporary | Permanent:
        """One request; for channels whose vendor says more in the body than in the status."""
        if endpoint.fault is not None:
            return Permanent(f"{endpoint.shown} {endpoint.fault}")
        if endpoint.authorization is not None:
            headers = {**headers, "Authorization": endpoint.authorization}
        session = self._session(endpoint.allow_private)
        try:
            response = await session.request(
                method, endpoint.url, data=body or None, headers=headers, allow_redirects=False
            )
        except (aiohttp.ClientError, OSError, ValueError) as error:  # TimeoutError is an OSError
            return _failure(error, endpoint, self._bounds)
        try:
            return Reply(
                response.status,
                retry_after(response.headers.get("Retry-After"), now),
                await self._beginning(response),
                {name.lower(): value for name, value in response.headers.items()},
            )
        finally:
            response.close()  # of no effect on a connection that was read to its end and went back to the pool

    async def close(self) -> None:
        """Closes every connection. Call after the last request."""
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()

    async def _beginning(self, response: aiohttp.ClientResponse) -> bytes:
        """The reply's first bytes, `reply_bytes_max` at most, or what came before it broke off or took too long."""
        pieces: list[bytes] = []
        room = self._bounds.reply_bytes_max
        try:
            async with asyncio.timeout(self._bounds.reply):
                while room > 0 and (piece := await response.content.read(room)):
                    pieces.append(piece)
                    room -= len(piece)
        except (aiohttp.ClientError, OSError, ValueError):
            pass  # the status has decided
        return b"".join(pieces)

    def _session(self, allow_private: bool) -> aiohttp.ClientSession:
        """One for each verdict on private addresses: a pooled connection must not cross over."""
        session = self._sessions.get(allow_private)
        if session is None:
            session = self._sessions[allow_private] = aiohttp.ClientSession(
                connector=Connector(allow_private),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(
                    total=self._bounds.total, connect=self._bounds.connect, sock_connect=self._bounds.connect
                ),
                headers={"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"},
                auto_decompress=False,
                trust_env=False,
            )
        return session


def judge(reply: Reply, endpoint: Endpoint) -> Answer:
    """What a status means (design section 6, RFC 9110 section 15; 410 Gone is for good in Standard Webhooks too)."""
    if 200 <= reply.status < 300:
        return Receipt(f"{reply.status}")
    error = f"{endpoint.shown} answered {reply.status}"
    if 300 <= reply.status < 400:
        return Permanent(f"{error}; redirects are not followed")
    error += _excerpt(reply.body, endpoint)
    if reply.status in TEMPORARY_STATUS or 500 <= reply.status < 600:
        return Temporary(error, reply.retry_after, ambiguous=reply.status in GATEWAY_STATUS)
    if 400 <= reply.status < 500:
        return Permanent(error)
    return Temporary(f"{error}, which is no HTTP status", ambiguous=True)


def retry_after(value: str | None, now: datetime) -> timedelta | None:
    """Retry-After in both its forms (RFC 9110 section 10.2.3), seconds or an HTTP date, capped at RETRY_AFTER_MAX.
    Garbage and dates gone by count as not said."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        seconds = int(text[:9])  # nine digits are 31 years: enough to be capped, too few to overflow
        return min(timedelta(seconds=seconds), RETRY_AFTER_MAX) if seconds else None
    try:
        at = parsedate_to_datetime(text)
        wait = (at if at.tzinfo else at.replace(tzinfo=UTC)) - now
    except (ValueError, OverflowError):
        return None
    return min(wait, RETRY_AFTER_MAX) if wait > timedelta(0) else None


def segment(text: str) -> str:
    """One segment of a path: nothing in it is taken for a slash, a query or a step up."""
    return quote(text, safe="").replace(".", "%2E") if text.strip(".") == "" else quote(text, safe="")


def _excerpt(body: bytes, endpoint: Endpoint) -> str:
    """The receiver's own words, on one line. Redacted before it is cut, so that no half secret stays."""
    text = endpoint.redact(body[:EXCERPT_BYTES].decode("utf-8", "replace"))
    words = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return f": {words[:EXCERPT_CHARS_MAX]}" if words else ""


def _failure(error: Exception, endpoint: Endpoint, bounds: HttpBounds) -> Temporary | Permanent:
    """An exception without an answer, in words of our own: aiohttp's hold the URL."""
    shown = endpoint.shown
    match error:
        case aiohttp.ClientConnectorError() if isinstance(error.os_error, NameRefused):
            return Temporary(f"{shown} has an address that is not allowed: {error.os_error}")
        case aiohttp.ClientConnectorError() if isinstance(error.os_error, AddressRefused):
            return Permanent(f"{shown} has an address that is not allowed: {error.os_error}")
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            return Permanent(f"{shown} is not a URL that can be requested")
        case aiohttp.ConnectionTimeoutError():
            return Temporary(f"{shown}: no connection within {bounds.connect:g} s")
        case aiohttp.ClientConnectorDNSError():
            return Temporary(f"{shown}: the name does not resolve ({_system_words(error.os_error)})")
        case aiohttp.ClientConnectorCertificateError():
            return Temporary(f"{shown}: its certificate is not valid ({_system_words(error.certificate_error)})")
        case aiohttp.ClientConnectorError():
            return Temporary(f"{shown}: no connection ({_system_words(error.os_error)})")
        case TimeoutError():
            return Temporary(f"{shown}: no answer within {bounds.total:g} s", ambiguous=True)
        case aiohttp.ServerDisconnectedError():
            return Temporary(f"{shown} hung up before it answered", ambiguous=True)
        case aiohttp.ClientResponseError() | aiohttp.ClientPayloadError():
            return Temporary(f"{shown} answered something that is not HTTP", ambiguous=True)
        case OSError():
            return Temporary(f"{shown}: the connection broke ({_system_words(error)})", ambiguous=True)
        case _:
            return Temporary(f"{shown}: the request failed ({type(error).__name__})", ambiguous=True)


def _system_words(error: BaseException) -> str:
    """What OpenSSL, the resolver or the system says, in words of theirs that hold no address, name or URL."""
    match error:
        case ssl.SSLCertVerificationError():
            return error.verify_message
        case ssl.SSLError():
            return str(error.reason)
        case OSError(errno=int(number)) if not isinstance(error, socket.gaierror):
            return os.strerror(number)
        case OSError(strerror=str(words)):
            return words
        case _:
            return type(error).__name__
