"""A real HTTP server on loopback that answers as told and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit


class Asked(NamedTuple):
    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: object


class StandIn:
    """`answers` maps "METHOD /path" to (status, body); a str body is sent as it is, anything else as JSON. `reply_by`,
    where set, decides instead."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: dict[str, tuple[int, object]] = {}
        self.asked: list[Asked] = []
        self.reply_by: Callable[[Asked], tuple[int, object]] | None = None

    def reply(self, asked: Asked) -> tuple[int, bytes]:
        self.asked.append(asked)
        if self.reply_by is not None:
            status, body = self.reply_by(asked)
            return status, json.dumps(body).encode()
        status, body = self.answers.get(f"{asked.method} {asked.path}", (404, {"title": "Not Found", "status": 404}))
        return status, body.encode() if isinstance(body, str) else json.dumps(body).encode()


@contextmanager
def standing_in() -> Iterator[StandIn]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.stand_in = stand_in = StandIn(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield stand_in
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    def _answer(self) -> None:
        parts = urlsplit(self.path)
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = json.loads(sent) if sent else None
        asked = Asked(self.command, parts.path, parse_qs(parts.query), dict(self.headers), body)
        status, content = self.server.stand_in.reply(asked)
        if status == 0:  # hang up
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_DELETE = _answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        """The suite's output is for failures."""
