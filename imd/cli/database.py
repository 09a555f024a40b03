"""`imd db`: look after the store: migrate, backup, verify, recover. Works on the file itself, not through a daemon."""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from collections.abc import Callable

import msgspec

from imd.cli.failure import Failed, Misused
from imd.cli.screen import Column, Screen
from imd.clock import SystemClock
from imd.store import sqlite_salvage, sqlite_upkeep
from imd.store.contract import StoreRefused
from imd.store.migrate import sqlite_path, upgrade
from imd.store.sqlite_salvage import Saved

_TICK_SECONDS = 0.2


def run(arguments: Namespace) -> int:
    """0: done, and for verify: sound. 1: refused, or found damaged."""
    try:
        url = _store_url(arguments)
        return _VERBS[arguments.verb](arguments, url)
    except StoreRefused as refused:
        raise Failed(str(refused)) from None


def _store_url(arguments: Namespace) -> str:
    if arguments.file is not None and arguments.verb != "backup":
        raise Misused(f"`imd db {arguments.verb}` takes no FILE; name the database by --store or --config")
    if arguments.quarantine and arguments.verb != "recover":
        raise Misused("--quarantine goes with `imd db recover`")
    if arguments.store is not None:
        return str(arguments.store)
    if arguments.config is None:
        raise Misused("which database? --store sqlite:////var/lib/imd/imd.db, or --config FILE")
    if not arguments.config.is_file():
        raise Misused(f"no such file: {arguments.config}")
    from imd.config.load import Faulty, load_config

    try:
        return load_config(arguments.config).settings.store
    except Faulty as faulty:
        raise Failed(f"{faulty}; or name the database by --store") from None


def _migrate(arguments: Namespace, url: str) -> int:
    applied = upgrade(url)
    if arguments.json:
        print(msgspec.json.encode({"applied": applied}).decode())
    elif applied:
        print(f"applied: {', '.join(applied)}; a copy from before is beside the database")
    else:
        print("the schema is up to date")
    return 0


def _backup(arguments: Namespace, url: str) -> int:
    if arguments.file is None:
        raise Misused("`imd db backup` wants the FILE to write")
    progress = _Progress("copying")
    size = sqlite_upkeep.back_up(sqlite_path(url), arguments.file, progress.tick)
    progress.end()
    if arguments.json:
        print(msgspec.json.encode({"file": str(arguments.file), "bytes": size}).decode())
    else:
        print(
            f"{arguments.file}: {_size(size)}, checked; to restore it: stop imd, put it in the database's place, start"
        )
    return 0


def _verify(arguments: Namespace, url: str) -> int:
    progress = _Progress("reading")
    found = sqlite_upkeep.verify(sqlite_path(url), progress.tick)
    progress.end()
    if arguments.json:
        print(msgspec.json.encode(found).decode())
        return 1 if found.faults else 0
    screen = Screen.of_process()
    rows = [[name, str(count)] for name, count in found.rows.items()]
    screen.table([Column("TABLE"), Column("ROWS", right=True)], rows)
    for fault in found.faults:
        screen.item(fault)
    if found.faults:
        print(f"{found.path}: damaged, see above; restore a backup, or stop imd and run `imd db recover`")
        return 1
    if found.seal:
        print(f"the audit log's newest seal: {found.seal}")
    print(f"{found.path}: {_size(found.bytes)}, schema {found.schema}: every page and record can be read")
    return 0


def _recover(arguments: Namespace, url: str) -> int:
    path, now = sqlite_path(url), SystemClock().now()
    empty = arguments.quarantine
    found = sqlite_salvage.quarantine(path, now) if empty else sqlite_salvage.recover(path, now, _said)
    if arguments.json:
        print(msgspec.json.encode(found).decode())
    else:
        _report(found)
    return 0


def _report(found: Saved) -> None:
    if found.saved:
        rows = [[name, str(count), str(found.lost.get(name, 0) or "")] for name, count in found.saved.items()]
        Screen.of_process().table([Column("TABLE"), Column("SAVED", right=True), Column("LOST", right=True)], rows)
    for aside in found.aside:
        print(f"moved aside: {aside}")
    print(f"{found.new} is in place; the next start raises ImdStateLost, so that somebody looks at what was open")


def _said(table: str) -> None:
    if sys.stderr.isatty():
        print(f"reading {table}", file=sys.stderr)


class _Progress:
    """A line on a terminal that says that the work goes on; nothing anywhere else."""

    def __init__(self, what: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._what = what
        self._clock = clock
        self._shown = sys.stderr.isatty()
        self._began = self._said = clock()

    def tick(self) -> None:
        now = self._clock()
        if self._shown and now - self._said >= _TICK_SECONDS:
            self._said = now
            print(f"\r{self._what}: {now - self._began:.0f} s", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        if self._said > self._began:
            print("\r" + " " * 30 + "\r", end="", file=sys.stderr, flush=True)


def _size(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size} bytes"


_VERBS: dict[str, Callable[[Namespace, str], int]] = {
    "migrate": _migrate,
    "backup": _backup,
    "verify": _verify,
    "recover": _recover,
}
