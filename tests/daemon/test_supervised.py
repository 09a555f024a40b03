"""The daemon as systemd sees it: ready when it answers, alive while its store does, reloading, stopping."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

from tests.cli.running import running

CONFIG = "rules: [rules.yaml]\nreceivers: [{name: console, type: console}]\n"
RULES = "rules: [{name: all, match: 'alertname=~\".+\"'}]\n"


def heard_until(manager: socket.socket, wanted: str) -> list[str]:
    """The first words of every message up to the one wanted; fails by time-out where it does not come."""
    heard: list[str] = []
    while not heard or heard[-1] != wanted:
        heard.append(manager.recv(4096).decode().split("\n")[0])
    return heard


def test_a_life_as_a_service(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(RULES)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        environ = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"}
        with running(tmp_path, CONFIG, environ) as operator:
            assert heard_until(manager, "READY=1") == ["READY=1"], "nothing before the start is over"
            heard_until(manager, "WATCHDOG=1")

            os.kill(operator.daemon, signal.SIGHUP)
            heard_until(manager, "RELOADING=1")
            heard_until(manager, "READY=1")

            (tmp_path / "rules.yaml").write_text("rules: [{name: all, match: 'alertname='}]\n")
            os.kill(operator.daemon, signal.SIGHUP)
            heard_until(manager, "WATCHDOG=1")
            assert operator("send", "A")[0] == 0, "a faulty file changes nothing"
        assert "STOPPING=1" in heard_until(manager, "STOPPING=1")
