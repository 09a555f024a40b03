"""A real webhook receiver: records time, headers and body of each message, and answers as the test scripts it."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

HANG = 0
"""Scripted in place of a status: no answer until `release`."""


class Message(NamedTuple):
    """`at` is monotonic seconds. `status` is what it was answered."""

    at: float
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    status: int

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def kind(self) -> str:
        return str(self.body["kind"])

    @property
    def key(self) -> str:
        return str(self.body["dedup_key"])

    @property
    def incident(self) -> dict[str, Any]:
        incident: dict[str, Any] = self.body["incident"]
        return incident


class Sink:
    """Listens from its construction. `script` holds the next answers; when it is empty, `status` is the answer.
    Each answer takes `delay_seconds()`; where `refuse()` says so it is 503."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.script: deque[int] = deque()
        self.status = 200
        self.delay_seconds: Callable[[], float] = lambda: 0.0
        self.refuse: Callable[[], bool] = lambda: False
        self._lock = threading.Lock()
        self._released = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/pages"

    def close(self) -> None:
        self._released.set()
        self._server.shutdown()
        self._server.server_close()

    def of(self, kind: str, **incident: object) -> list[Message]:
        """Messages of this kind whose incident has these values."""
        return [
            message
            for message in list(self.messages)
            if message.kind == kind and all(message.incident[key] == value for key, value in incident.items())
        ]

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> int:
        with self._lock:
            status = self.script.popleft() if self.script else 503 if self.refuse() else self.status
            self.messages.append(Message(time.monotonic(), path, headers, json.loads(body), status))
        if status == HANG:
            self._released.wait()
            return 503
        time.sleep(self.delay_seconds())
        return status


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A sender that was killed hangs up in mid-request; that is what some tests are for."""


def _handler(sink: Sink) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            body = self.rfile.read(length)
            if len(body) < length:
                return  # killed while it sent: nothing arrived
            status = sink.answer(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Nothing."""

    return Handler
