"""A real daemon in a process of its own, and an operator who types commands at it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 20


class Operator:
    """Runs `imd` as a person would, in a process of its own. `folder` is the daemon's working directory."""

    def __init__(self, url: str, folder: Path, daemon: int) -> None:
        self.url = url
        self.folder = folder
        self.daemon = daemon
        self._environ = {**os.environ, "IMD_URL": url, "USER": "ana", "COLUMNS": "200"}

    def __call__(self, *argv: str) -> tuple[int, str, str]:
        command = [sys.executable, "-m", "imd", *argv]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=self._environ, timeout=30)
        return done.returncode, done.stdout, done.stderr

    def json(self, *argv: str) -> object:
        code, out, err = self(*argv, "--json")
        assert code == 0, err
        return json.loads(out)

    def printed(self) -> str:
        """What the daemon printed so far, pages of a console receiver among it."""
        return (self.folder / "printed").read_text()


@contextmanager
def running(folder: Path, config: str, environ: Mapping[str, str] = os.environ) -> Iterator[Operator]:
    """`config` without `listen` and `store`. The daemon is stopped at the end, and must stop well."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "config.yaml").write_text(f"listen: 127.0.0.1:{port}\nstore: sqlite:///imd.db\n{config}")
    serve = [sys.executable, "-m", "imd", "serve", "--config", "config.yaml"]
    with (folder / "printed").open("wb") as printed:
        daemon = subprocess.Popen(serve, cwd=folder, env=dict(environ), stdout=printed, stderr=subprocess.STDOUT)
    operator = Operator(f"http://127.0.0.1:{port}", folder, daemon.pid)
    try:
        _wait_until_ready(port, daemon, operator)
        yield operator
    finally:
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(10) == 0, operator.printed()


def _wait_until_ready(port: int, daemon: subprocess.Popen[bytes], operator: Operator) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=2):
                return
        except (OSError, urllib.error.URLError):
            assert daemon.poll() is None, operator.printed()
            assert time.monotonic() < deadline, operator.printed()
            time.sleep(0.05)
