"""Talking to systemd: notifications, the watchdog's interval and inherited sockets.

Owns the two small protocols, sd_notify(3) and sd_listen_fds(3), read 2026-11-21. Knows nothing of what it reports on.
Outside systemd (no NOTIFY_SOCKET) every call does nothing.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping, MutableMapping
from datetime import timedelta

_FIRST_FD = 3  # SD_LISTEN_FDS_START
_SEND_SECONDS = 0.5  # systemd reads at once; if it does not, the event loop must not wait for it


class Notifier:
    """Says to the service manager how the daemon is doing. Each call is true once the message was handed over.

    A message that cannot be sent is lost and never raises: the daemon goes on, and systemd's own timeouts judge it.
    """

    def __init__(self, address: str | None) -> None:
        """`address` as in NOTIFY_SOCKET: an absolute path, or `@name` for an abstract socket; None: say nothing."""
        self._address = _socket_address(address)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Notifier:
        return cls(environ.get("NOTIFY_SOCKET"))

    def ready(self, status: str = "") -> bool:
        """Started, or a reload is over."""
        return self._send("READY=1", *_status_lines(status))

    def reloading(self) -> bool:
        """A reload begins; `ready` ends it. The time lets systemd 253 and later tell it from an older one."""
        microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        return self._send("RELOADING=1", f"MONOTONIC_USEC={microseconds}")

    def stopping(self, status: str = "") -> bool:
        return self._send("STOPPING=1", *_status_lines(status))

    def status(self, text: str) -> bool:
        """One line for `systemctl status`."""
        return self._send(*_status_lines(text))

    def watchdog(self) -> bool:
        """Still alive. Call it only when a round trip through loop and store has just succeeded."""
        return self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> bool:
        if self._address is None or not lines:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.settimeout(_SEND_SECONDS)
                sender.connect(self._address)
                sender.send("\n".join(lines).encode())
        except OSError:
            return False
        return True


def watchdog_interval(environ: Mapping[str, str] = os.environ, pid: int | None = None) -> timedelta | None:
    """How often to call `Notifier.watchdog`: half of what systemd allows. None where no watchdog is set for us."""
    if environ.get("WATCHDOG_PID", "") not in ("", str(pid or os.getpid())):
        return None
    microseconds = environ.get("WATCHDOG_USEC", "")
    if not microseconds.isdecimal() or int(microseconds) == 0:
        return None
    return timedelta(microseconds=int(microseconds) / 2)


def inherited_sockets(
    environ: MutableMapping[str, str] = os.environ, pid: int | None = None, first_fd: int = _FIRST_FD
) -> list[socket.socket]:
    """The listening sockets that systemd opened for us, in the order of the unit; [] without socket activation.

    Takes the variables out of `environ`, so that no child believes the sockets are its own.
    """
    meant_for, count = environ.pop("LISTEN_PID", ""), environ.pop("LISTEN_FDS", "")
    environ.pop("LISTEN_FDNAMES", None)
    if meant_for != str(pid or os.getpid()) or not count.isdecimal():
        return []
    sockets = [socket.socket(fileno=first_fd + index) for index in range(int(count))]
    for inherited in sockets:
        inherited.set_inheritable(False)
    return sockets


def _socket_address(address: str | None) -> str | None:
    if not address or address[0] not in "/@":
        return None
    return "\0" + address[1:] if address[0] == "@" else address


def _status_lines(text: str) -> tuple[str, ...]:
    """STATUS is one line: a line break in it would be read as a further variable."""
    return (f"STATUS={' '.join(text.split())}",) if text else ()
