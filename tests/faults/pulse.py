"""How long GET /-/healthy takes, asked again and again by a process of its own: is the event loop free?

A thread of the test's would measure the test's own interpreter.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from types import TracebackType

from tests.system.running import ROOT

EVERY_SECONDS = 0.01
REQUEST = b"GET /-/healthy HTTP/1.1\r\nHost: pulse\r\n\r\n"


class Pulse:
    """Inside the `with` it asks; afterwards `seconds` is what each answer took and `wrong` how many were no 200."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.seconds: list[float] = []
        self.wrong = 0

    def __enter__(self) -> Pulse:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.pulse", str(self._port)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"asking\n"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.send_signal(signal.SIGTERM)
        said, _ = self._process.communicate(timeout=30)
        found = json.loads(said)
        self.seconds, self.wrong = found["seconds"], found["wrong"]

    def quantile(self, q: float) -> float:
        return sorted(self.seconds)[min(len(self.seconds) - 1, int(q * len(self.seconds)))]

    def __str__(self) -> str:
        marks = ", ".join(f"p{100 * q:g} {self.quantile(q) * 1000:.1f}" for q in (0.5, 0.99, 1.0))
        return f"/-/healthy in {marks} ms ({len(self.seconds)} times, {self.wrong} wrong)"


def _ask(port: int) -> None:
    going = True

    def stop(*_signal: object) -> None:
        nonlocal going
        going = False

    signal.signal(signal.SIGTERM, stop)
    connection = socket.create_connection(("127.0.0.1", port), timeout=60)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    seconds: list[float] = []
    wrong = 0
    print("asking", flush=True)
    while going:
        began = time.perf_counter()
        connection.sendall(REQUEST)
        answer = b""
        while not answer.endswith(b"\r\n\r\nimd is healthy.\n"):
            piece = connection.recv(4096)
            if not piece:
                break
            answer += piece
        took = time.perf_counter() - began
        seconds.append(took)
        if not answer.startswith(b"HTTP/1.1 200 "):
            wrong += 1
            break
        time.sleep(max(0.0, EVERY_SECONDS - took))
    print(json.dumps({"seconds": seconds, "wrong": wrong}), flush=True)


if __name__ == "__main__":
    _ask(int(sys.argv[1]))
