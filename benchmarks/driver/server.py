"""Servers under measurement: each a process of its own in a fresh folder, started and stopped by the driver.

Owns commands, configurations and readiness. `Imd` runs with the interpreter of the driver, so the code measured is the
one beside it; Alertmanager is the peer where its binary is on the PATH.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol

from benchmarks.driver import process
from benchmarks.driver.alerts import Request
from benchmarks.driver.client import drive

ALERTMANAGERS = ("prometheus-alertmanager", "alertmanager")  # Debian's name, and everybody else's
NO_PAGES = "10m"  # a hold that outlasts the benchmark
_READY_SECONDS_MAX = 60.0
_STOP_SECONDS_MAX = 20.0


class Grouping:
    """What makes an incident of imd, a group of Alertmanager."""

    BY_NAME = '["alertname"]'
    EACH = '["..."]'


class Server:
    """A process with an HTTP port. As a context manager it is running inside; its folder goes with it."""

    def __init__(self, command: list[str], port: int, folder: Path) -> None:
        self.port = port
        self.folder = folder
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Server:
        try:
            self.start()
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> float:
        """Seconds from the start of the process until it says that it is ready."""
        began = time.perf_counter()
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, cwd=self.folder, start_new_session=True
            )
        while time.perf_counter() - began < _READY_SECONDS_MAX:
            if self._process.poll() is not None:
                break
            if self._ready():
                return time.perf_counter() - began
            time.sleep(0.005)
        self.stop()
        log_end = (self.folder / "log").read_text(errors="replace")[-2000:]
        raise SystemExit(f"{self._command[0]} is not ready after {time.perf_counter() - began:.0f} s:\n{log_end}")

    def stop(self, by: signal.Signals = signal.SIGTERM) -> float:
        """Seconds until it was gone; killed if it would not go."""
        assert self._process is not None
        began = time.perf_counter()
        self._process.send_signal(by)
        try:
            self._process.wait(_STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        return time.perf_counter() - began

    def _ready(self) -> bool:
        try:
            return self.get("/-/ready")[0] == 200
        except OSError:
            return False

    def get(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def cpu_seconds(self) -> float:
        return process.cpu_seconds(self.pid)

    def fill(self, requests: list[Request]) -> None:
        """Posts what the benchmark needs to be there; every one must be taken."""
        load = asyncio.run(drive(self.port, requests))
        if load.errors:
            raise SystemExit(f"{load.errors} of {len(requests)} requests failed: {dict(load.statuses)}, {load.broken}")


class Target(Protocol):
    """How to start one kind of server. `form` is a key of alerts.BODIES, `path` where such bodies are posted."""

    name: str
    form: str
    path: str

    def server(self, sink: str, hold: str, grouping: str) -> Server: ...


class Imd:
    """imd with one rule for everything, or with the rules given: the texts of rule files, policies included. `under`
    is what the interpreter runs it under, such as `-m cProfile`."""

    def __init__(
        self, name: str = "imd", form: str = "api", rules: Sequence[str] = (), under: Sequence[str] = ()
    ) -> None:
        self.name = name
        self.form = form
        self.path = {"api": "/api/v2/alerts", "webhook": "/v1/ingest/alertmanager"}[form]
        self._rules = rules
        self._under = under

    def server(self, sink: str, hold: str, grouping: str) -> Server:
        folder, port = Path(tempfile.mkdtemp(prefix="imd-bench-")), free_port()
        receiver = {"name": "sink", "type": "webhook", "url": sink, "allow_private": True, "send": ["page"]}
        config = {
            "listen": f"127.0.0.1:{port}",
            "store": f"sqlite:///{folder}/imd.db",
            "rules": [f"{folder}/rules"],
            "receivers": [receiver],
            "storm": {"enabled": False},
            "log": {"level": "warning"},
        }
        (folder / "config.yaml").write_text(json.dumps(config))
        write_rules(folder / "rules", self._rules or [one_rule(hold, grouping)])
        command = [sys.executable, *self._under, "-m", "imd", "serve", "--config", f"{folder}/config.yaml"]
        return Server(command, port, folder)


class Alertmanager:
    """The peer, on the same grouping; its data in the server's folder."""

    name = "alertmanager"
    form = "api"
    path = "/api/v2/alerts"

    def __init__(self, binary: str) -> None:
        self._binary = binary

    def server(self, sink: str, hold: str, grouping: str) -> Server:
        folder, port = Path(tempfile.mkdtemp(prefix="imd-bench-")), free_port()
        route = {
            "receiver": "sink",
            "group_by": json.loads(grouping),
            "group_wait": hold,
            "group_interval": "5m",
            "repeat_interval": "4h",
        }
        receivers = [{"name": "sink", "webhook_configs": [{"url": sink, "send_resolved": True}]}]
        (folder / "alertmanager.yml").write_text(json.dumps({"route": route, "receivers": receivers}))
        command = [
            self._binary,
            f"--config.file={folder}/alertmanager.yml",
            f"--storage.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
            "--log.level=error",
        ]
        return Server(command, port, folder)


def write_rules(folder: Path, texts: Sequence[str]) -> None:
    folder.mkdir()
    for number, text in enumerate(texts):
        (folder / f"{number:04d}.yaml").write_text(text)


def one_rule(hold: str, grouping: str) -> str:
    """A rules file that takes everything and pages the sink."""
    return rules_file([rule("bench", 'alertname=~".+"', hold, grouping)], last=True)


def rule(name: str, match: str, hold: str, grouping: str) -> dict[str, object]:
    return {
        "name": name,
        "match": match,
        "group_by": json.loads(grouping),
        "hold": hold,
        "window": {"kind": "while_open", "max_alerts": 1_000_000},
    }


def rules_file(rules: list[dict[str, object]], last: bool) -> str:
    """These rules; in the last file a policy that pages the sink for whatever they open, too. JSON is YAML."""
    if not last:
        return json.dumps({"rules": rules})
    policy = {"name": "sink", "steps": [{"notify": ["receiver:sink"]}]}
    return json.dumps({"rules": rules, "routes": [{"policy": "sink"}], "policies": [policy]})


def peers() -> list[Target]:
    """Alertmanager, where it is installed."""
    binary = next((name for name in ALERTMANAGERS if shutil.which(name)), "")
    if not binary:
        sys.stderr.write(f"without a peer: none of {', '.join(ALERTMANAGERS)} is on the PATH\n")
    return [Alertmanager(binary)] if binary else []


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
