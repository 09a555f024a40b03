"""What a process and its children have used, as the kernel counts it.

Owns the reading of /proc and of CPU clocks; Linux alone. CPU time is user and system time of all threads, those that
ended too. A process's CPU clock says it to the nanosecond where /proc/PID/stat counts ticks of 10 ms.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

_SCHED_CLOCK = 2  # CPUCLOCK_SCHED of a process, see clock_getcpuclockid in the C library; read 2026-11
_TICKS = os.sysconf("SC_CLK_TCK")
_USER, _SYSTEM = 11, 12  # fields of stat behind the name


def tree(pid: int) -> list[int]:
    """The process and all below it."""
    found, waiting = [], [pid]
    while waiting:
        found.append(waiting.pop())
        for task in Path(f"/proc/{found[-1]}/task").glob("*/children"):
            waiting += [int(child) for child in task.read_text().split()]
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of the process and its living children."""
    return sum(time.clock_gettime((~one << 3) | _SCHED_CLOCK) for one in tree(pid))


@dataclass(frozen=True)
class ThreadCpu:
    """User and system seconds of one thread, to 10 ms."""

    user: float
    system: float

    def since(self, before: ThreadCpu | None) -> ThreadCpu:
        return ThreadCpu(self.user - before.user, self.system - before.system) if before else self


def threads(pid: int) -> dict[int, ThreadCpu]:
    """What each living thread has used, by thread id; the main thread's is the process's."""
    used = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        fields = (task / "stat").read_text().rpartition(")")[2].split()
        used[int(task.name)] = ThreadCpu(int(fields[_USER]) / _TICKS, int(fields[_SYSTEM]) / _TICKS)
    return used


def waited_seconds(pid: int) -> float:
    """How long the living threads were ready to run and had no processor. `schedstat` counts it in nanoseconds (Linux,
    Documentation/scheduler/sched-stats; read 2026-11)."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[1]) for task in tasks) / 1e9


def rss_bytes(pid: int) -> int:
    """Resident memory of the process and its children."""
    return sum(_status_kib(one, "VmRSS") for one in tree(pid)) * 1024


def peak_rss_bytes(pid: int) -> int:
    """The most that it was of the process itself."""
    return _status_kib(pid, "VmHWM") * 1024


def _status_kib(pid: int, key: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1])
    return 0


def settled_rss_bytes(pid: int, still_seconds: float = 3.0, seconds_max: float = 30.0) -> int:
    """Resident memory once it has not moved by a hundredth for `still_seconds`."""
    end = time.monotonic() + seconds_max
    last, since = rss_bytes(pid), time.monotonic()
    while time.monotonic() < end and time.monotonic() - since < still_seconds:
        time.sleep(0.2)
        seen = rss_bytes(pid)
        if abs(seen - last) > last / 100:
            last, since = seen, time.monotonic()
    return rss_bytes(pid)
