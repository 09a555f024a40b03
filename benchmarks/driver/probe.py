"""Asks one path over and over, from a process of its own: how long does a server under load let others wait?

    python -m benchmarks.driver.probe PORT PATH

One connection, one request each 5 ms or as soon as the last is answered; it ends when its input does, and prints the
seconds that each took as a JSON list. Its own process, for the driver that sends the load is busy itself.
"""

from __future__ import annotations

import json
import select
import socket
import subprocess
import sys
import time

EVERY_SECONDS = 0.005


class Probe:
    """A probe under way; `stop` ends it."""

    def __init__(self, port: int, path: str) -> None:
        command = [sys.executable, "-m", "benchmarks.driver.probe", str(port), path]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        self._process.stdout.readline()  # it has been answered once

    def stop(self) -> list[float]:
        """Seconds that each answer took."""
        said, _ = self._process.communicate(timeout=60)
        waits: list[float] = json.loads(said)
        return waits


def ask(connection: socket.socket, request: bytes) -> float:
    began = time.perf_counter()
    connection.sendall(request)
    answer = b""
    while b"\r\n\r\n" not in answer:
        part = connection.recv(65536)
        if not part:
            raise SystemExit("the server hung up")
        answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    while len(body) < length:
        body += connection.recv(65536)
    return time.perf_counter() - began


def main() -> None:
    port, path = int(sys.argv[1]), sys.argv[2]
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    waits: list[float] = []
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ask(connection, request)
        print("ready", flush=True)
        while not select.select([sys.stdin], [], [], max(0.0, EVERY_SECONDS - (waits[-1] if waits else 0.0)))[0]:
            waits.append(ask(connection, request))
    print(json.dumps(waits))


if __name__ == "__main__":
    main()
