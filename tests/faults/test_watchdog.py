"""A daemon that is stuck, under a supervisor like systemd (row 41 of docs/faults.md)."""

from __future__ import annotations

import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.syscalls import SYNC, injecting, needs_strace
from tests.faults.trials import spread, trials
from tests.system.killing import RECEIVERS, SINGLE, Killing, Pages, due_of_each
from tests.system.load import Producer
from tests.system.running import Daemon, Daemons, until
from tests.system.sink import Sink

WATCHDOG_SECONDS = 1.0


class Supervisor:
    """Starts the daemon, listens for WATCHDOG=1, and where none comes in time kills it and starts it again."""

    def __init__(self, daemon: Daemon, folder: Path) -> None:
        self._daemon = daemon
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(folder / "notify"))
        self._environ = {
            "NOTIFY_SOCKET": str(folder / "notify"),
            "WATCHDOG_USEC": str(int(WATCHDOG_SECONDS * 1e6)),
        }
        daemon.start(**self._environ)

    def beats(self, seconds: float) -> None:
        """It is fed all the while."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            assert self._fed(), "a healthy daemon was thought stuck"

    def _fed(self) -> bool:
        """Whether it is, within the time that the watchdog allows."""
        deadline = time.monotonic() + WATCHDOG_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                if b"WATCHDOG=1" in self._socket.recv(4096):
                    return True
            except TimeoutError:
                break
        return False

    def restarts_it(self) -> None:
        until("the watchdog is hungry", lambda: not self._fed(), 30)
        self._daemon.kill()
        self._daemon.start(**self._environ)

    def close(self) -> None:
        self._socket.close()


def _loop_hangs(daemon: Daemon, while_it_does: Callable[[], None]) -> None:
    daemon.send_signal(signal.SIGUSR2)
    while_it_does()


def _disk_hangs(daemon: Daemon, while_it_does: Callable[[], None]) -> None:
    needs_strace()
    with injecting(daemon.pid, SYNC, "delay_enter=4000000"):
        while_it_does()


@pytest.mark.parametrize("how", [_loop_hangs, _disk_hangs], ids=["loop", "disk"])
def test_a_stuck_daemon_is_started_anew_and_loses_nothing(
    how: Callable[[Daemon, Callable[[], None]], None], daemons: Daemons, sink: Sink, tmp_path: Path, figures: list[str]
) -> None:
    daemon = daemons(RECEIVERS.format(url=sink.url), SINGLE)
    daemon.program = [sys.executable, "-m", "tests.faults.stuck"]
    supervisor = Supervisor(daemon, tmp_path)
    producer = Producer(daemon, 200, seed=41)
    killing = Killing(daemon, producer, "stuck")
    took: list[float] = []
    for _ in range(trials(quick=1, long=50)):
        producer.start()
        supervisor.beats(WATCHDOG_SECONDS)
        began = time.monotonic()
        how(daemon, supervisor.restarts_it)
        took.append(time.monotonic() - began)
        producer.join()
        killing.wrong += producer.look()
    killing.finish()
    pages = Pages(sink.messages, due_of_each(daemon, producer))
    figures.append(
        f"row 41, stuck {len(took)}x: {producer.total('acked')} acked, L {len(killing.wrong)}; {pages.due} messages "
        f"due, M {len(pages.missed)}, D {pages.duplicates}, K {len(pages.wrong_keys)}; up again after {spread(took)} "
        f"(watchdog of {WATCHDOG_SECONDS:g} s)"
    )
    assert not killing.wrong, killing.wrong[:10]
    assert not pages.missed, pages.missed[:10]
    assert not pages.extra, pages.extra[:10]
    assert not pages.wrong_keys, pages.wrong_keys[:10]
    supervisor.close()
    assert daemon.stop() == 0
