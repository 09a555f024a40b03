"""The line to a running daemon: one request, one answer or one sentence that says what went wrong.

Knows HTTP, tokens and how imd words its errors; knows no command.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import SplitResult, quote, urlencode, urlsplit

import msgspec

from imd.cli.failure import Failed, Misused
from imd.cli.screen import clean

_TIMEOUT_SECONDS = 15.0  # the daemon answers within 10 or says 503
_PAGE_ITEMS_MAX = 500  # what the daemon gives at once
_ANSWER_BYTES_MAX = 64 * 1024 * 1024
_ERROR_CHARS_MAX = 500

Shape = TypeVar("Shape")
Query = Sequence[tuple[str, str]]


class _Problem(msgspec.Struct):
    """application/problem+json (RFC 9457), and Alertmanager's older `message`."""

    title: str = ""
    detail: str = ""
    message: str = ""


class _Page(msgspec.Struct):
    items: list[msgspec.Raw]
    next_cursor: str | None = None


class Listed(NamedTuple):
    """Items of a list as they came, and whether there may be more behind them."""

    items: list[msgspec.Raw]
    more: bool

    def read(self, shape: type[Shape]) -> list[Shape]:
        return [read(bytes(item), shape) for item in self.items]

    def json(self) -> str:
        return msgspec.json.encode({"items": self.items}).decode()

    def tell_of_more(self, limit: int) -> None:
        if self.more:
            print(f"imd: there may be more; --limit {limit * 2} shows further ones", file=sys.stderr)


class Daemon:
    """A daemon at a URL, whose path is a prefix of every request. Every method raises Failed with one line."""

    def __init__(self, url: str, token: str = "") -> None:
        self._url = url.rstrip("/")
        self._parts = _parsed(self._url)
        self._token = token

    @classmethod
    def of(cls, arguments: Namespace, environ: Mapping[str, str]) -> Daemon:
        """By --url, --token-file and IMD_TOKEN. Raises Misused where these make no sense."""
        token_file: Path | None = arguments.token_file
        if token_file is not None:
            return cls(arguments.url, _token(_first_line(token_file), f"the first line of {token_file}"))
        return cls(arguments.url, _token(environ["IMD_TOKEN"], "IMD_TOKEN") if environ.get("IMD_TOKEN") else "")

    def get(self, path: str, query: Query = ()) -> bytes:
        return self._ask("GET", f"{path}?{urlencode(query)}" if query else path, None)

    def collect(self, path: str, query: Query, limit: int) -> Listed:
        """The first `limit` items of a list, over as many pages as it takes. A page may be short, even empty; its
        cursor alone says whether there is more."""
        items: list[msgspec.Raw] = []
        cursor: str | None = ""
        while cursor is not None and len(items) < limit:
            asked = [*query, ("limit", str(min(_PAGE_ITEMS_MAX, limit - len(items))))]
            page = read(self.get(path, [*asked, ("cursor", cursor)] if cursor else asked), _Page)
            items += page.items
            cursor = page.next_cursor
        return Listed(items[:limit], cursor is not None)

    def pages(self, path: str, query: Query) -> Iterator[list[msgspec.Raw]]:
        """A whole list, page by page as it comes."""
        cursor: str | None = ""
        while cursor is not None:
            asked = [*query, ("limit", str(_PAGE_ITEMS_MAX)), *([("cursor", cursor)] if cursor else [])]
            page = read(self.get(path, asked), _Page)
            yield page.items
            cursor = page.next_cursor

    def post(self, path: str, body: object) -> bytes:
        return self._ask("POST", path, msgspec.json.encode(body))

    def delete(self, path: str, query: Query = ()) -> bytes:
        return self._ask("DELETE", f"{path}?{urlencode(query)}" if query else path, None)

    def _ask(self, method: str, path: str, body: bytes | None) -> bytes:
        headers = {"Accept": "application/json", "User-Agent": "imd-cli"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        connection = _connection(self._parts)
        try:
            connection.request(method, self._parts.path + path, body, headers)
            answer = connection.getresponse()
            content = answer.read(_ANSWER_BYTES_MAX)
        except ConnectionRefusedError:
            raise Failed(
                f"nothing listens at {self._url} (connection refused);"
                " start imd with `imd serve --config config.yaml`, or say where it is with --url or IMD_URL",
                again=True,
            ) from None
        except TimeoutError:
            raise Failed(f"{self._url} did not answer within {_TIMEOUT_SECONDS:.0f} s", again=True) from None
        except socket.gaierror as error:
            raise Failed(f"{self._parts.hostname}: {error.strerror}", again=True) from None
        except (OSError, http.client.HTTPException) as error:
            raise Failed(f"{self._url}: {_words(error)}", again=True) from None
        finally:
            connection.close()
        if not 200 <= answer.status < 300:
            raise Failed(_refusal(answer.status, content, self._url), again=answer.status in _AGAIN)
        return content


def read(content: bytes, shape: type[Shape]) -> Shape:
    """The answer in its shape; raises Failed where it has another one."""
    try:
        return msgspec.json.decode(content, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Failed(f"the answer is not one of imd's ({error}); is --url right?") from None


def incident_path(which: str) -> str:
    """By number (`3`, `#3`) or id."""
    return f"/v1/incidents/{quote(which.removeprefix('#'), safe='')}"


def _parsed(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment or parts.username is not None:
        raise Misused(f"--url wants http://HOST:PORT or https://HOST:PORT, with or without a path, not {url!r}")
    return parts


def _connection(parts: SplitResult) -> http.client.HTTPConnection:
    host = parts.hostname or ""
    if parts.scheme == "https":
        return http.client.HTTPSConnection(
            host, parts.port, timeout=_TIMEOUT_SECONDS, context=ssl.create_default_context()
        )
    return http.client.HTTPConnection(host, parts.port, timeout=_TIMEOUT_SECONDS)


def _first_line(path: Path) -> str:
    try:
        return (path.read_text(encoding="utf-8").splitlines() or [""])[0]
    except FileNotFoundError:
        raise Misused(f"no such file: {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise Failed(f"cannot read the token file {path}: {_words(error)}") from None


def _token(text: str, where: str) -> str:
    """Never shows the text: it may be nearly right."""
    token = text.strip()
    if not token or not token.isascii() or not token.isprintable():
        raise Failed(f"{where} is no token: it is empty or has characters that no header can carry")
    return token


def _words(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) and error.strerror else str(error)) or type(error).__name__


_AGAIN = frozenset({401, 403, 404, 408, *range(500, 600)})
"""What a daemon answers that is busy, down, or not set up for this yet."""

_HINTS = {
    401: "; name a token with --token-file or IMD_TOKEN",
    403: "; name a token that has it with --token-file or IMD_TOKEN",
}


def _refusal(status: int, content: bytes, url: str) -> str:
    """What the daemon says in its error, in one line."""
    said = clean(" ".join(_said(content).split()))[:_ERROR_CHARS_MAX]
    return f"{said or url} ({status} {http.client.responses.get(status, 'unknown status')}){_HINTS.get(status, '')}"


def _said(content: bytes) -> str:
    try:
        problem = msgspec.json.decode(content, type=_Problem | str)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    return problem if isinstance(problem, str) else problem.detail or problem.message or problem.title
