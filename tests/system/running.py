"""A real imd: a process on a port and in a folder of its own, which tests start, kill, stop and start again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeVar
from urllib.parse import urlencode

T = TypeVar("T")
START_SECONDS = 60.0  # how long it takes is asked elsewhere; here only whether it does, on a machine however busy
STOP_SECONDS = 10.0
POLL_SECONDS = 0.01
ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def until(what: str, check: Callable[[], T], seconds: float = 10.0) -> T:
    """The first truthy answer of `check`, asked again and again. AssertionError with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (answer := check()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(POLL_SECONDS)
    return answer


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Output:
    """What a process writes to one stream, read as it comes."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._parts: list[bytes] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with self._stream:
            for line in self._stream:
                self._parts.append(line)

    def text(self) -> str:
        return b"".join(self._parts).decode(errors="replace")

    def end(self) -> None:
        """The process is over: read what is left."""
        self._thread.join(5)


class Daemon:
    """`imd serve` in `folder`. What `config` and `rules` hold beside listen, store and rules is the test's."""

    def __init__(self, folder: Path, config: str, rules: str = "", host: str = "127.0.0.1", store: str = "") -> None:
        self.folder = folder
        self.port = free_port()
        self._head = f"listen: '{host}:{self.port}'\nstore: {store or 'sqlite:///imd.db'}\nrules: [rules.yaml]\n"
        self.configure(config, rules)
        self.program = [sys.executable, "-m", "imd"]
        self.process: subprocess.Popen[bytes] | None = None
        self._outputs: list[tuple[Output, Output]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def configure(self, config: str, rules: str = "") -> None:
        """Writes the files anew; who runs reads them at the next reload."""
        (self.folder / "config.yaml").write_text(self._head + config)
        (self.folder / "rules.yaml").write_text(rules or "rules: []\n")

    # -- its process ----------------------------------------------------------------------------------------------

    def spawn(self, **environ: str) -> None:
        """Starts the process and returns at once."""
        assert self.process is None or self.process.poll() is not None
        self.process = subprocess.Popen(
            [*self.program, "serve", "--config", "config.yaml"],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self._outputs.append((Output(self.process.stdout), Output(self.process.stderr)))

    def start(self, **environ: str) -> float:
        """Starts it and waits until it takes alerts; how many seconds that took."""
        began = time.monotonic()
        self.spawn(**environ)
        until("imd is ready", self._ready_or_over, START_SECONDS)
        assert self.pid, self.log()
        return time.monotonic() - began

    def _ready_or_over(self) -> bool:
        return not self.pid or self.ready

    @property
    def pid(self) -> int:
        """0 when it does not run."""
        return self.process.pid if self.process is not None and self.process.poll() is None else 0

    @property
    def ready(self) -> bool:
        try:
            return self.get("/-/ready", timeout=2).status == 200
        except (OSError, HTTPException):
            return False

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        self._ended(STOP_SECONDS)

    def send_signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM, seconds: float = STOP_SECONDS) -> int:
        """Asks it to end and waits; the exit code."""
        self.send_signal(number)
        return self._ended(seconds)

    def wait(self, seconds: float = START_SECONDS) -> int:
        """For one that ends by itself; the exit code."""
        return self._ended(seconds)

    def _ended(self, seconds: float) -> int:
        assert self.process is not None
        code = self.process.wait(seconds)
        for output in self._outputs[-1]:
            output.end()
        return code

    def printed(self) -> str:
        """Standard output of all starts."""
        return "".join(out.text() for out, _ in self._outputs)

    def log(self) -> str:
        """Standard error of all starts."""
        return "".join(err.text() for _, err in self._outputs)

    # -- its API --------------------------------------------------------------------------------------------------

    def call(self, method: str, path: str, body: object = None, timeout: float = 10.0) -> Answer:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            sent = None if body is None else json.dumps(body).encode()
            connection.request(method, path, sent, {"Content-Type": "application/json"} if sent else {})
            response = connection.getresponse()
            return Answer(response.status, {name.lower(): v for name, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def get(self, path: str, timeout: float = 10.0, **query: str) -> Answer:
        return self.call("GET", f"{path}?{urlencode(query)}" if query else path, timeout=timeout)

    def post(self, path: str, body: object = None) -> Answer:
        return self.call("POST", path, body)

    def items(self, path: str, **query: str) -> list[Any]:
        """All of a paged list."""
        found: list[Any] = []
        cursor: str | None = ""
        while cursor is not None:
            page = self.get(path, limit="500", **query, **({"cursor": cursor} if cursor else {})).json()
            found += page["items"]
            cursor = page["next_cursor"]
        return found

    def metric(self, name: str, **labels: str) -> float:
        """The sum of all series of that name which have these labels."""
        return metric(self.get("/metrics").body.decode(), name, **labels)

    def pending(self) -> int:
        """Deliveries not settled."""
        count: int = self.get("/v1/status").json()["counts"]["outbox_pending"]
        return count


def metric(exposition: str, name: str, **labels: str) -> float:
    wanted = [f'{label}="{value}"' for label, value in labels.items()]
    lines = (line for line in exposition.splitlines() if line.startswith((f"{name}{{", f"{name} ")))
    return sum(float(line.rpartition(" ")[2]) for line in lines if all(part in line for part in wanted))


class Daemons:
    """Makes daemons and ends what still runs of them; their logs must hold no traceback."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: list[Daemon] = []

    def __call__(self, config: str, rules: str = "", **other: str) -> Daemon:
        folder = self._folder / f"imd{len(self._made)}"
        folder.mkdir()
        daemon = Daemon(folder, config, rules, **other)
        self._made.append(daemon)
        return daemon

    def end(self) -> None:
        for daemon in self._made:
            if daemon.pid:
                daemon.kill()
        for daemon in self._made:
            for text in (daemon.log(), daemon.printed()):
                assert "Traceback" not in text, text
                assert "Error: " not in text, text


def programs(*names: str) -> Iterator[str]:
    """Those of `names` that this machine lacks."""
    return (name for name in names if shutil.which(name) is None)
