"""Notifications reach a real datagram socket; inherited sockets are found; the unit is as closed as it claims."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from imd.daemon.systemd import Notifier, inherited_sockets, watchdog_interval

UNIT = Path(__file__).parents[2] / "systemd/imd.service"


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A socket that stands in for systemd's, and its address as NOTIFY_SOCKET writes it."""
    address = str(tmp_path / "notify") if request.param == "path" else f"@imd-test-{secrets.token_hex(8)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(address.replace("@", "\0", 1) if address[0] == "@" else address)
        receiver.settimeout(5)
        yield receiver, address


def test_each_notification_is_one_datagram(manager: tuple[socket.socket, str]) -> None:
    receiver, address = manager
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": address})
    calls = {
        "READY=1\nSTATUS=3 open incidents": lambda: notifier.ready("3 open incidents"),
        "READY=1": notifier.ready,
        "STOPPING=1\nSTATUS=draining": lambda: notifier.stopping("draining"),
        "STATUS=a b": lambda: notifier.status("a\nb"),
        "WATCHDOG=1": notifier.watchdog,
    }
    for expected, call in calls.items():
        assert call() is True
        assert receiver.recv(4096).decode() == expected


def test_a_reload_carries_its_monotonic_time(manager: tuple[socket.socket, str]) -> None:
    receiver, address = manager
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert Notifier(address).reloading()
    first, second = receiver.recv(4096).decode().split("\n")
    assert first == "RELOADING=1"
    name, value = second.split("=")
    assert name == "MONOTONIC_USEC"
    assert before <= int(value) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


@pytest.mark.parametrize("address", [None, "", "relative/path", "/nowhere/notify", "@nobody-listens-here"])
def test_without_a_manager_nothing_is_said_and_nothing_raised(address: str | None) -> None:
    assert Notifier(address).ready() is False


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, timedelta(seconds=15)),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "41"}, timedelta(seconds=15)),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "42"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_fed_twice_an_interval(environ: dict[str, str], expected: timedelta | None) -> None:
    assert watchdog_interval(environ, pid=41) == expected


def test_sockets_meant_for_another_process_are_left_alone() -> None:
    environ = {"LISTEN_PID": "1", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "http", "HOME": "/"}
    assert inherited_sockets(environ, pid=2) == []
    assert environ == {"HOME": "/"}, "a child must not take them for its own"


def test_an_inherited_socket_accepts() -> None:
    """A shell hands its descriptor 3 on, as systemd does."""
    program = (
        "from imd.daemon.systemd import inherited_sockets\n"
        "[listener] = inherited_sockets()\n"
        "assert not listener.get_inheritable()\n"
        "connection, _ = listener.accept()\n"
        "connection.sendall(b'hello')\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        shell = f'exec 3<&{listener.fileno()}; LISTEN_PID=$$ LISTEN_FDS=1 exec {sys.executable} -c "$0"'
        child = subprocess.Popen(["bash", "-c", shell, program], pass_fds=[listener.fileno()])
        with socket.create_connection(listener.getsockname(), timeout=10) as client:
            assert client.recv(5) == b"hello"
        assert child.wait(10) == 0


def test_the_unit_is_closed_to_at_most_1_5() -> None:
    if shutil.which("systemd-analyze") is None:
        assert not os.environ.get("IMD_REQUIRE_REAL"), "systemd-analyze is required here (package systemd)"
        pytest.skip("systemd-analyze is not installed (package systemd)")
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=15", str(UNIT)]
    judged = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert judged.returncode == 0, judged.stdout[-400:] + judged.stderr


def test_the_unit_says_what_the_manual_relies_on() -> None:
    lines = set(UNIT.read_text().splitlines())
    expected = {"Type=notify", "WatchdogSec=30", "Restart=always", "StartLimitIntervalSec=0", "TimeoutStopSec=15"}
    assert expected | {"DynamicUser=yes", "StateDirectory=imd", "MemoryMax=512M"} <= lines
