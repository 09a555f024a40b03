"""How near the process is to the end of its memory.

Owns what bounds it (its control group, its resource limits) and how much it has. Near the end alerts that are not known
yet are refused with 503 (`Loop.submit`): what grows stops growing, before the kernel ends the process in the middle of
it, or Python finds no memory for the next step. What is known is taken on: repeats, and resolves, which give room.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import resource
from collections.abc import Callable, Container, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import structlog

from imd.model.event import AlertsReported
from imd.model.heartbeat import OWN_SOURCE
from imd.telemetry import Log, Metrics

LOOK_EVERY_SECONDS = 0.25
HEADROOM = 0.15
"""Of the limit: for bodies under way (64 MiB at most wait to be committed) and for building the engine anew."""

_M_ARENA_MAX = -8  # malloc.h of glibc; mallopt(3), read 2026-11-22
_UNBOUNDED = 1 << 60
"""What v1 says for no limit is the largest number of pages."""
_PAGE = os.sysconf("SC_PAGE_SIZE")
_log = structlog.get_logger()


class Limit(NamedTuple):
    """`used` answers in bytes, as `most` is."""

    what: str
    most: int
    used: Callable[[], int]


def limits(proc: Path = Path("/proc/self"), groups: Path = Path("/sys/fs/cgroup")) -> list[Limit]:
    """Those that are set."""
    found = []
    for what, number, used in (
        ("address space (ulimit -v)", resource.RLIMIT_AS, lambda: _statm(proc, 0)),
        ("data (ulimit -d)", resource.RLIMIT_DATA, lambda: _statm(proc, 5)),
    ):
        soft, _ = resource.getrlimit(number)
        if soft != resource.RLIM_INFINITY:
            found.append(Limit(what, soft, used))
    if bounds := list(_group_bounds(proc, groups)):
        found.append(Limit("its control group (MemoryMax)", min(bounds), lambda: _statm(proc, 1)))
    return found


def spare_address_space() -> None:
    """To be called before the first thread. The C library sets 64 MiB of address space aside for each of the first
    threads, which hardly use any of it; under `ulimit -v` it counts: 380 of 460 MiB of a daemon at rest, so
    that with a limit of 500 no alert was taken at all. Where there is such a limit the threads share one arena."""
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        with suppress(AttributeError, OSError):  # another C library
            ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def _statm(proc: Path, field: int) -> int:
    """proc(5), read 2026-11-22: size, resident, shared, text, lib, data; in pages."""
    return int((proc / "statm").read_text().split()[field]) * _PAGE


def _group_bounds(proc: Path, groups: Path) -> Iterator[int]:
    """memory.max of the process's group and of all above it (cgroup v2), or memory.limit_in_bytes (v1). In a container
    the group's path may be the host's, which is not there, and its own group is at the root."""
    try:
        lines = (proc / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        controllers, _, name = line.partition(":")[2].partition(":")
        if not controllers:
            root, file = groups, "memory.max"
        elif "memory" in controllers.split(","):
            root, file = groups / "memory", "memory.limit_in_bytes"
        else:
            continue
        group = root / name.strip("/")
        while group != root.parent:
            try:
                bound = (group / file).read_text().strip()
            except OSError:
                bound = ""
            if bound.isdecimal() and int(bound) < _UNBOUNDED:
                yield int(bound)
            group = group.parent


def known_of(event: AlertsReported, held: Container[bytes]) -> AlertsReported:
    """What of it is about alerts that are held; the event itself where that is all of it. imd's own are few."""
    if event.source == OWN_SOURCE:
        return event
    known = tuple(one for one in event.alerts if one.identity.key in held)
    return event if len(known) == len(event.alerts) else AlertsReported(event.source, event.by_api, known)


class Memory:
    """`short` says which limit is near, or ""."""

    def __init__(self, metrics: Metrics, found: Callable[[], list[Limit]] = limits) -> None:
        self._metrics = metrics
        self._found = found
        self.short = ""

    async def watch(self) -> None:
        """Until it is cancelled. Limits may be set from outside while it runs."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_EVERY_SECONDS)

    def look(self) -> None:
        try:
            near = next((one for one in self._found() if one.used() > (1 - HEADROOM) * one.most), None)
        except (OSError, ValueError):
            return  # what cannot be read bounds nothing
        said = "" if near is None else f"{near.what} is limited to {near.most >> 20} MiB"
        if said and not self.short:
            _log.error(Log.MEMORY_SHORT.value, limit=said)
        self.short = said
        self._metrics.memory_short.set(1 if said else 0)
